import { isZero, min, opposes, type OrderIntent, reducibleOf, type RiskFacts } from '#domain'
import type { OrderDenial } from './denials.ts'
import type { Submission } from './deps.ts'

/**
 * An order as it is to be sent. `denial`: no quantity is left. `waits`: more is left once the
 * orders that are being canceled have ended.
 */
export type Sized = Readonly<{ intent: OrderIntent; denial: OrderDenial | null; waits: boolean }>

/**
 * A close takes at most the quantity that no other order closes already, at the version from which
 * it is sent: so two closes at once do not open the other side. Any other order keeps its quantity.
 */
export function sizedFor(
  { intent, isClose }: Pick<Submission, 'intent' | 'isClose'>,
  facts: RiskFacts,
): Sized {
  const asIs = { intent, denial: null, waits: false }
  if (!isClose || intent.quantity === null) return asIs
  const { side, symbol, tradeId } = intent
  const { position, orders } = facts
  if (!opposes(side, position))
    return { ...asIs, denial: nothingToClose(`There is no position in ${symbol}`) }
  const reducible = reducibleOf(position, orders, tradeId)
  const quantity = min(intent.quantity, reducible)
  const standing = orders.filter(({ cancel }) => cancel === null)
  return {
    intent: { ...intent, quantity },
    denial: isZero(quantity) ? nothingToClose(promised(symbol)) : null,
    waits: quantity !== intent.quantity && reducibleOf(position, standing, tradeId) !== reducible,
  }
}

export const nothingToClose = (message: string): OrderDenial => ({
  code: 'NOTHING_TO_CLOSE',
  message,
})
export const promised = (symbol: string): string =>
  `All of the position in ${symbol} is promised to open orders. Cancel them first`
