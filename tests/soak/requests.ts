import type { SubmitOrder } from '#contract'
import type { Producer } from '#producer'
import { type Randomness, createRandomness } from '../../src/apps/sandbox/randomness.ts'
import { connectionOf, userOf } from '../support/ground.ts'

/**
 * The requests of the soak, drawn from the seed: the same seed makes the same requests in the same
 * order.
 */
export type SoakRequest =
  | Readonly<{ type: 'submit'; order: SubmitOrder }>
  | Readonly<{
      type: 'cancel' | 'replace'
      userId: string
      connectionId: string
      tradeId: string
      commandId: string
    }>

const SYMBOLS = ['AAPL', 'MSFT', 'TSLA', 'NVDA', 'AMZN'] as const
/** Far from any price that the sandbox's walks reach: one side fills at once, the other rests. */
const FAR_ABOVE = '9000'
const FAR_BELOW = '1'
/** A resting order is moved to here, and goes on resting. */
const REPLACED_PRICE = '1.5'
/** How many requests later an order that rests is canceled or replaced. */
const FOLLOW_UP_AFTER = 40

type Shape = Readonly<{
  share: number
  terms: (randomness: Randomness) => Partial<SubmitOrder>
  rests?: true
}>

/**
 * Kinds of orders and their shares. Bracket and oto exits are far away, so that they rest until the
 * entry's account is swept.
 */
const SHAPES: readonly Shape[] = [
  { share: 0.5, terms: () => ({ orderType: 'market' }) },
  { share: 0.15, terms: () => ({ orderType: 'limit', side: 'buy', limitPrice: FAR_ABOVE }) },
  {
    share: 0.15,
    terms: () => ({ orderType: 'limit', side: 'buy', limitPrice: FAR_BELOW, timeInForce: 'gtc' }),
    rests: true,
  },
  {
    share: 0.05,
    terms: () => ({ orderType: 'limit', side: 'buy', limitPrice: FAR_BELOW, timeInForce: 'ioc' }),
  },
  {
    share: 0.05,
    terms: () => ({ orderType: 'stop', side: 'buy', stopPrice: FAR_ABOVE }),
    rests: true,
  },
  {
    share: 0.05,
    terms: (randomness) => ({
      orderType: 'market',
      side: 'buy',
      quantity: undefined,
      notional: String(randomness.integer(5, 500)),
    }),
  },
  {
    share: 0.05,
    terms: () => ({
      orderType: 'market',
      side: 'buy',
      orderClass: 'bracket',
      timeInForce: 'gtc',
      takeProfit: { limitPrice: FAR_ABOVE },
      stopLoss: { stopPrice: FAR_BELOW },
    }),
  },
]

/** @param orders how many are submitted; cancels, replaces and repeats come on top */
export function* soakRequests(seed: string, orders: number, users: number): Generator<SoakRequest> {
  const randomness = createRandomness(seed)
  const due: { at: number; request: SoakRequest }[] = []
  for (let index = 0; index < orders; index += 1) {
    while (due[0] !== undefined && due[0].at <= index)
      yield (due.shift() as (typeof due)[number]).request
    const userId = userOf(randomness.integer(0, users - 1))
    const tradeId = `t${index}`
    const shape = pick(randomness)
    const order: SubmitOrder = {
      userId,
      connectionId: connectionOf(userId),
      tradeId,
      symbol: SYMBOLS[randomness.integer(0, 4)] ?? 'AAPL',
      side: randomness.fraction() < 0.6 ? 'buy' : 'sell',
      orderType: 'market',
      quantity: String(randomness.integer(1, 20)),
      ...shape.terms(randomness),
    }
    yield { type: 'submit', order }
    if (randomness.fraction() < 0.02) yield { type: 'submit', order } // the same trade again is the same order
    if (shape.rests !== true) continue
    const type = order.orderType === 'limit' && randomness.fraction() < 0.3 ? 'replace' : 'cancel'
    const about = { userId, connectionId: order.connectionId, tradeId, commandId: `c${index}` }
    due.push({ at: index + randomness.integer(0, FOLLOW_UP_AFTER), request: { type, ...about } })
    due.sort((a, b) => a.at - b.at)
  }
  for (const { request } of due) yield request
}

/** Asks for it as a trade API does. */
export async function ask(producer: Producer, request: SoakRequest): Promise<void> {
  if (request.type === 'submit') return void (await producer.submitOrder(request.order))
  const { type, ...about } = request
  if (type === 'cancel') return void (await producer.cancelOrder(about))
  await producer.replaceOrder({ ...about, limitPrice: REPLACED_PRICE })
}

function pick(randomness: Randomness): Shape {
  let left = randomness.fraction()
  for (const shape of SHAPES) {
    left -= shape.share
    if (left < 0) return shape
  }
  return SHAPES[0] as Shape
}
