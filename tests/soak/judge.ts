import {
  abs,
  add,
  cmp,
  dec,
  type Decimal,
  mul,
  type Order,
  type Placement,
  sub,
  ZERO,
} from '#domain'
import type { AccountLedger } from '#sandbox'
import type { LogEntry, UserSnapshot } from '#store'

/**
 * The evidence for one user: the broker's ledger, our state, and the events that clients received.
 */
export type Evidence = Readonly<{
  userId: string
  ledger: AccountLedger
  snapshot: UserSnapshot
  /** Orders that have left the hot state. */
  archived: readonly Order[]
  told: readonly LogEntry[]
}>

/** The differences, counted. */
export type Verdict = {
  differences: string[]
  duplicateOrders: number
  missingFills: number
  repeatedFills: number
  /** The trades of the last two counts, with the events that clients received. */
  fills: string[]
}

export const emptyVerdict = (): Verdict => ({
  differences: [],
  duplicateOrders: 0,
  missingFills: 0,
  repeatedFills: 0,
  fills: [],
})

type Row = Readonly<Record<string, unknown>>
const text = (row: Row, field: string): string => (typeof row[field] === 'string' ? row[field] : '')
const amount = (row: Row, field: string): Decimal => dec(text(row, field) || '0')

/** Ledger orders with their exits, flat, by broker order id. */
function flatOrders(ledger: AccountLedger): Map<string, Row> {
  const flat = new Map<string, Row>()
  const add = (row: Row): void => {
    flat.set(text(row, 'id'), row)
    for (const leg of (row['legs'] as Row[] | null) ?? []) add(leg)
  }
  for (const row of ledger.orders as readonly Row[]) add(row)
  return flat
}

/** Cost and quantity of each order, from its executions. */
function executedOf(ledger: AccountLedger): Map<string, { quantity: Decimal; cost: Decimal }> {
  const sums = new Map<string, { quantity: Decimal; cost: Decimal }>()
  for (const row of ledger.executions as readonly Row[]) {
    const before = sums.get(text(row, 'order_id')) ?? { quantity: ZERO, cost: ZERO }
    const quantity = amount(row, 'qty')
    sums.set(text(row, 'order_id'), {
      quantity: add(before.quantity, quantity),
      cost: add(before.cost, mul(quantity, amount(row, 'price'))),
    })
  }
  return sums
}

/**
 * The broker's averages have nine decimals: an execution that had to be worked out from one is as
 * good as that.
 */
const AVERAGE_STEP = dec('0.000000001')
const FINAL: ReadonlySet<string> = new Set([
  'filled',
  'canceled',
  'expired',
  'rejected',
  'replaced',
])
/** Our status for the broker's status. */
const statusOf = (row: Row): string => {
  const status = text(row, 'status')
  return FINAL.has(status)
    ? status
    : amount(row, 'filled_qty') === ZERO
      ? 'submitted'
      : 'partially_filled'
}

/** Compares one user, field by field; an empty verdict is agreement. */
export function judge(evidence: Evidence, verdict: Verdict): void {
  const { userId, ledger, snapshot, archived } = evidence
  const differ = (what: string, ours: unknown, theirs: unknown): void => {
    if (ours !== theirs)
      verdict.differences.push(
        `${userId}: ${what} is ${String(ours)}, the broker's ${String(theirs)}`,
      )
  }
  const flat = flatOrders(ledger)
  const executed = executedOf(ledger)
  const orders = [...snapshot.orders, ...archived]
  const known = new Set<string>()
  for (const order of orders) {
    for (const placement of order.placements) {
      if (placement.brokerOrderId === null) continue
      known.add(placement.brokerOrderId)
      comparePlacement(order, placement, flat.get(placement.brokerOrderId), executed, differ)
    }
    if (order.origin === 'fillcast') judgeEvents(order, evidence.told, verdict, userId)
  }
  for (const [id, row] of flat)
    if (!known.has(id))
      differ(`the order ${text(row, 'client_order_id')}`, 'unknown', text(row, 'status'))
  countDuplicates(flat, userId, verdict)
  const account = snapshot.accounts[0]
  differ('cash', account?.cash, ledger.cash)
  const positions = new Map(
    snapshot.positions.map((position) => [position.symbol, position.quantity]),
  )
  for (const { symbol, qty } of ledger.positions)
    differ(`position ${symbol}`, positions.get(symbol), qty)
  differ('count of positions', positions.size, ledger.positions.length)
}

function comparePlacement(
  order: Order,
  placement: Placement,
  row: Row | undefined,
  executed: ReturnType<typeof executedOf>,
  differ: (what: string, ours: unknown, theirs: unknown) => void,
): void {
  const what = `${order.id} ${placement.leg}.${placement.replacement}`
  if (row === undefined) return differ(what, placement.status, 'not there')
  differ(`status of ${what}`, placement.status, statusOf(row))
  const { quantity, cost } = executed.get(placement.brokerOrderId ?? '') ?? {
    quantity: ZERO,
    cost: ZERO,
  }
  differ(
    `executed quantity of ${what}`,
    sub(placement.cumulativeQuantity, placement.busted?.quantity ?? ZERO),
    quantity,
  )
  const ours = sub(placement.totalCost, placement.busted?.cost ?? ZERO)
  if (cmp(abs(sub(ours, cost)), mul(quantity, AVERAGE_STEP)) > 0)
    differ(`executed cost of ${what}`, ours, cost)
}

/** First orders of one trade: more than one is an order sent twice. */
function countDuplicates(flat: ReadonlyMap<string, Row>, userId: string, verdict: Verdict): void {
  const seen = new Set<string>()
  for (const row of flat.values()) {
    const [, trade] = /^fc1-[0-9a-f]{10}-0\.0-(.+)$/.exec(text(row, 'client_order_id')) ?? []
    if (trade === undefined) continue
    if (seen.has(trade)) {
      verdict.duplicateOrders += 1
      verdict.differences.push(`${userId}: ${trade} was sent twice`)
    }
    seen.add(trade)
  }
}

const ENDINGS: ReadonlySet<string> = new Set(['trade.filled', 'trade.rejected', 'trade.cancelled'])
const ENDING_OF: Readonly<Record<string, string>> = {
  filled: 'trade.filled',
  rejected: 'trade.rejected',
  denied: 'trade.rejected',
  canceled: 'trade.cancelled',
  expired: 'trade.cancelled',
}

/**
 * Checks the events of one trade: submitted first and once, quantities that only grow and end at
 * the executed total, one ending.
 */
function judgeEvents(
  order: Order,
  told: readonly LogEntry[],
  verdict: Verdict,
  userId: string,
): void {
  const mine = told.filter((entry) => (entry.payload as Row)['tradeId'] === order.id)
  const wrong = (what: string): void =>
    void verdict.differences.push(`${userId}: ${order.id} ${what}`)
  const names = mine.map(({ event }) => event)
  const isPlaced = order.placements.some(({ brokerOrderId }) => brokerOrderId !== null)
  if (names.filter((name) => name === 'trade.submitted').length !== (isPlaced ? 1 : 0))
    wrong(`was told as ${names.join()}`)
  if (isPlaced && names[0] !== 'trade.submitted') wrong(`began with ${names[0] ?? 'nothing'}`)
  const endings = names.filter((name) => ENDINGS.has(name))
  const expected = order.endedAt === null ? [] : [ENDING_OF[order.status] ?? order.status]
  const isCorrected = names.includes('trade.corrected')
  if (endings.length !== expected.length || (!isCorrected && endings[0] !== expected[0]))
    wrong(`ended as ${endings.join() || 'nothing'}, not ${expected.join() || 'nothing'}`)
  const before = verdict.missingFills + verdict.repeatedFills
  let sofar = 0
  for (const { event, payload } of mine) {
    const now = quantityTold(event, payload as Row)
    if (now === null) continue
    // An order sized in money may execute before its last execution is known to be the last: its
    // ending then adds nothing.
    const isGrown =
      now > sofar || (now === sofar && event === 'trade.filled' && order.notional !== null)
    if (!isGrown && event !== 'trade.corrected') verdict.repeatedFills += 1
    sofar = now
  }
  if (sofar < Number(order.cumulativeQuantity)) verdict.missingFills += 1
  else if (sofar > Number(order.cumulativeQuantity)) verdict.repeatedFills += 1
  if (verdict.missingFills + verdict.repeatedFills > before)
    verdict.fills.push(
      `${userId}: ${order.id} (${order.cumulativeQuantity}) was told as ${mine.map(toldAs).join(', ')}`,
    )
}

const toldAs = ({ event, payload }: LogEntry): string =>
  `${event} ${quantityTold(event, payload as Row) ?? ''}`.trim()

/** The cumulative quantity of an event, or `null`. */
function quantityTold(event: string, payload: Row): number | null {
  if (event === 'trade.filled') return payload['quantity'] as number
  return event === 'trade.partialFill' || event === 'trade.corrected'
    ? (payload['filledQuantity'] as number)
    : null
}
