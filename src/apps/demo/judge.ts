import { serverEvents, type ServerEventName } from '#contract'

/** One event that one client received, as it is printed. */
export type Received = Readonly<{ client: string; event: string; payload: unknown }>

/** What one client must have received in an act, in this order and nothing else. */
export type Expectation = Readonly<{ act: string; client: string; events: readonly string[] }>

/** Events that may come at any time: they follow the market, not the trade. */
const isBackground = ({ event, payload }: Received): boolean => event === 'market.quote' || isPriceOnly(event, payload)

function isPriceOnly(event: string, payload: unknown): boolean {
  if (event !== 'portfolio.positionUpdated') return false
  const updates = Object.keys((payload as { updates?: object }).updates ?? {})
  return updates.every((name) => name === 'currentPrice' || name === 'unrealizedPnL')
}

/** Everything that is wrong with what a client received in one act; empty when all is right. Pure. */
export function judge({ act, client, events }: Expectation, received: readonly Received[]): string[] {
  const invalid = received.flatMap(({ event, payload }) => {
    const known = Object.hasOwn(serverEvents, event) ? serverEvents[event as ServerEventName] : null
    if (known === null) return [`${act}: ${client} received ${event}, which is no event of the contract`]
    const parsed = known.schema.safeParse(payload)
    return parsed.success
      ? []
      : [`${act}: ${client} received ${event} with a wrong payload: ${parsed.error.issues[0]?.path.join('.')}`]
  })
  const told = received.filter((one) => !isBackground(one)).map(({ event }) => event)
  if (told.join() === events.join()) return invalid
  return [
    ...invalid,
    `${act}: ${client} received ${told.join(', ') || 'nothing'}; expected ${events.join(', ') || 'nothing'}`,
  ]
}

type Fill = { quantity: number; fillPrice: number; totalCost: number; tradeId: string }
type Balance = { oldBalance: number; newBalance: number; change: number }

const isSame = (a: number, b: number): boolean => Math.abs(a - b) < 1e-6

/** Fill price x quantity = total cost = cash spent, to the last cent. Pure. */
export function judgeArithmetic(act: string, received: readonly Received[]): string[] {
  const of = <T>(event: string): T | undefined => received.find((one) => one.event === event)?.payload as T | undefined
  const fill = of<Fill>('trade.filled')
  const balance = of<Balance>('portfolio.balanceChanged')
  if (fill === undefined || balance === undefined) return [`${act}: no fill or no balance to add up`]
  return [
    ...(isSame(fill.fillPrice * fill.quantity, fill.totalCost)
      ? []
      : [`${act}: ${fill.fillPrice} x ${fill.quantity} is not ${fill.totalCost}`]),
    ...(isSame(-balance.change, fill.totalCost)
      ? []
      : [`${act}: cash changed by ${balance.change}, the trade cost ${fill.totalCost}`]),
    ...(isSame(balance.oldBalance + balance.change, balance.newBalance) ? [] : [`${act}: the balance does not add up`]),
  ]
}
