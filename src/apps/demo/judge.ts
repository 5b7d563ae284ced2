import { type ServerEventName, type ServerEventPayload, serverEvents } from '#contract'

// Checks the events that clients received against the examples of the specification. Pure: no
// socket, no clock.

/** One event that one client received, in the printed form. */
export type Received = Readonly<{ client: string; event: string; payload: unknown }>

/**
 * The events that one client must have received in an act: exactly these, in this order, about this
 * user.
 */
export type Expectation = Readonly<{
  act: string
  client: string
  userId: string
  events: readonly ServerEventName[]
}>

/** The terms of a placed order. */
export type Placed = Readonly<{ tradeId: string; symbol: string; quantity: number }>

/** The events of a market buy that opens a position, in this order. */
export const FILL_EVENTS = [
  'trade.submitted',
  'trade.filled',
  'portfolio.positionAdded',
  'portfolio.balanceChanged',
] as const satisfies readonly ServerEventName[]

/** All problems of the events that a client received in one act; empty if there are none. */
export function judge(
  { act, client, userId, events }: Expectation,
  received: readonly Received[],
): string[] {
  const told = received.filter((one) => !isBackground(one)).map(({ event }) => event)
  return [
    ...received.flatMap((one) =>
      payloadProblem(one, userId).map((what) => `${act}: ${client} received ${one.event} ${what}`),
    ),
    ...(told.join() === events.join()
      ? []
      : [
          `${act}: ${client} received ${told.join(', ') || 'nothing'}; expected ${events.join(', ') || 'nothing'}`,
        ]),
  ]
}

/** Quotes and price-only updates follow the market, not the trade: they may arrive at any time. */
function isBackground({ event, payload }: Received): boolean {
  if (event === 'market.quote') return true
  if (event !== 'portfolio.positionUpdated') return false
  const updates = (payload as { updates?: object } | null)?.updates ?? {}
  return Object.keys(updates).every((name) => name === 'currentPrice' || name === 'unrealizedPnL')
}

function payloadProblem({ event, payload }: Received, userId: string): string[] {
  if (!isServerEvent(event)) return ['which is no event of the contract']
  const parsed = serverEvents[event].schema.safeParse(payload)
  if (!parsed.success)
    return [
      `with a wrong payload: ${parsed.error.issues.map(({ path }) => path.join('.')).join(', ')}`,
    ]
  const owner = 'userId' in parsed.data ? parsed.data.userId : userId
  return owner === userId ? [] : [`of another user, ${String(owner)}`]
}

const isServerEvent = (event: string): event is ServerEventName =>
  Object.hasOwn(serverEvents, event)

/** Fill price x quantity = total cost = -cash change, and every event is about the placed order. */
export function judgeFill(act: string, placed: Placed, received: readonly Received[]): string[] {
  const submitted = find(received, 'trade.submitted')
  const fill = find(received, 'trade.filled')
  const added = find(received, 'portfolio.positionAdded')
  const balance = find(received, 'portfolio.balanceChanged')
  if (submitted === null || fill === null || added === null || balance === null)
    return [`${act}: the fill is not told completely, so that nothing can be added up`]
  return claims(act, [
    [
      submitted.tradeId === placed.tradeId && fill.tradeId === placed.tradeId,
      'the events name another trade',
    ],
    [
      submitted.symbol === placed.symbol && added.position.symbol === placed.symbol,
      'the events name another symbol',
    ],
    [fill.quantity === placed.quantity, `filled ${fill.quantity}, ordered ${placed.quantity}`],
    [
      isSame(fill.fillPrice * fill.quantity, fill.totalCost),
      `${fill.fillPrice} x ${fill.quantity} is not ${fill.totalCost}`,
    ],
    [
      isSameCash(-balance.change, fill.totalCost),
      `cash changed by ${balance.change}, the trade cost ${fill.totalCost}`,
    ],
    [
      isSame(balance.oldBalance + balance.change, balance.newBalance),
      'old balance and change do not make the new balance',
    ],
    [
      added.position.quantity === fill.quantity,
      `the position has ${added.position.quantity}, the fill ${fill.quantity}`,
    ],
    [
      isSame(added.position.averageEntryPrice, fill.fillPrice),
      'the position was not entered at the fill price',
    ],
  ])
}

/**
 * After a reconnect the snapshot holds the position that was bought meanwhile, and `cashBefore`
 * less its cost.
 */
export function judgeSync(
  act: string,
  placed: Placed,
  cashBefore: number,
  received: readonly Received[],
): string[] {
  const sync = find(received, 'state.sync')
  const position = sync?.positions?.find(({ symbol }) => symbol === placed.symbol)
  if (sync?.portfolio === undefined) return [`${act}: no state.sync with a portfolio`]
  if (position === undefined) return [`${act}: state.sync has no position in ${placed.symbol}`]
  const cost = position.quantity * position.averageEntryPrice
  const { cashBalance } = sync.portfolio
  return claims(act, [
    [
      position.quantity === placed.quantity,
      `state.sync has ${position.quantity} ${placed.symbol}, bought ${placed.quantity}`,
    ],
    [
      isSameCash(cashBefore - cost, cashBalance),
      `cash ${cashBalance} is not ${cashBefore} less ${cost}`,
    ],
    [
      !sync.pendingTrades?.some(({ id }) => id === placed.tradeId),
      'state.sync still has the filled trade as pending',
    ],
  ])
}

/** Two devices of one user received the same events. */
export function judgeSame(
  act: string,
  one: readonly Received[],
  other: readonly Received[],
): string[] {
  const told = (received: readonly Received[]): string =>
    JSON.stringify(
      received
        .filter((each) => /^(trade|portfolio)\./.test(each.event) && !isBackground(each))
        .map(({ event, payload }) => [event, payload]),
    )
  return claims(act, [[told(one) === told(other), 'the two devices were told different things']])
}

/** The payload of the first event of this name, or null if it is missing or invalid. */
export function find<Name extends ServerEventName>(
  received: readonly Received[],
  event: Name,
): ServerEventPayload<Name> | null {
  const payload = received.find((one) => one.event === event)?.payload
  const parsed = serverEvents[event].schema.safeParse(payload)
  return parsed.success ? (parsed.data as ServerEventPayload<Name>) : null
}

/** Amounts are JSON numbers: equal means equal to well below a cent. */
const isSame = (a: number, b: number): boolean => Math.abs(a - b) < 1e-6
/**
 * Balances are whole cents and costs are exact, so the difference of two balances may differ from
 * the cost by less than a cent.
 */
const isSameCash = (a: number, b: number): boolean => Math.abs(a - b) < 0.01 - 1e-6

const claims = (
  act: string,
  table: readonly (readonly [holds: boolean, otherwise: string])[],
): string[] => table.filter(([holds]) => !holds).map(([, otherwise]) => `${act}: ${otherwise}`)
