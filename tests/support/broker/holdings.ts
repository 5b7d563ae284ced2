import {
  abs,
  add,
  cmp,
  type Decimal,
  div,
  isNegative,
  isZero,
  min,
  mul,
  neg,
  type Side,
  sub,
  ZERO,
} from '#domain'

/** The entries of the books of the model broker, in their order. */
export type BookEntry =
  /** `fee` is taken out of what was bought. */
  | Readonly<{
      kind: 'fill'
      symbol: string
      side: Side
      quantity: Decimal
      price: Decimal
      fee: Decimal
    }>
  | Readonly<{ kind: 'cash'; amount: Decimal }>
  | Readonly<{ kind: 'split'; symbol: string; ratio: Decimal }>
  | Readonly<{ kind: 'symbol'; from: string; to: string }>

export type Held = Readonly<{ quantity: Decimal; cost: Decimal }>
export type Books = Readonly<{ cash: Decimal; positions: ReadonlyMap<string, Held> }>

const NOTHING: Held = { quantity: ZERO, cost: ZERO }

/**
 * Cash and positions from the entries alone, at average cost. A busted entry is removed, so the
 * books are as if it had never existed. The code shares no line with the code under test.
 */
export function booksOf(entries: Iterable<BookEntry>, cash: Decimal): Books {
  const positions = new Map<string, Held>()
  let money = cash
  const put = (symbol: string, held: Held): void =>
    void (isZero(held.quantity) ? positions.delete(symbol) : positions.set(symbol, held))
  for (const entry of entries) {
    if (entry.kind === 'cash') money = add(money, entry.amount)
    else if (entry.kind === 'fill') {
      const { symbol, side, quantity, price, fee } = entry
      const value = mul(quantity, price)
      money = side === 'buy' ? sub(money, value) : add(money, value)
      put(
        symbol,
        traded(
          positions.get(symbol) ?? NOTHING,
          side === 'buy' ? sub(quantity, fee) : neg(quantity),
          price,
        ),
      )
    } else if (entry.kind === 'split') {
      const { quantity, cost } = positions.get(entry.symbol) ?? NOTHING
      put(entry.symbol, { quantity: mul(quantity, entry.ratio), cost })
    } else {
      put(entry.to, positions.get(entry.from) ?? NOTHING)
      positions.delete(entry.from)
    }
  }
  return { cash: money, positions }
}

function traded({ quantity, cost }: Held, change: Decimal, price: Decimal): Held {
  if (isZero(quantity) || isNegative(quantity) === isNegative(change))
    return { quantity: add(quantity, change), cost: add(cost, mul(abs(change), price)) }
  const closed = min(abs(change), abs(quantity))
  const rest = sub(abs(change), closed)
  if (cmp(rest, ZERO) > 0)
    return { quantity: isNegative(change) ? neg(rest) : rest, cost: mul(rest, price) }
  return { quantity: add(quantity, change), cost: sub(cost, div(mul(cost, closed), abs(quantity))) }
}
