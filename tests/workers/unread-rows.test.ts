import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Metrics } from '#runtime'
import { createAlpacaBroker, endpointOf } from '../../workers/broker/alpaca/index.ts'
import { countUnread } from '../../workers/metrics.ts'
import { realTimers } from '../conformance/broker-harness.ts'

const order = {
  id: 'o-1',
  client_order_id: 'c-1',
  symbol: 'AAPL',
  side: 'buy',
  type: 'limit',
  time_in_force: 'day',
  status: 'new',
  qty: '10',
  filled_qty: '0',
  limit_price: '150',
  order_class: '',
  submitted_at: '2026-01-05T10:00:00Z',
  updated_at: '2026-01-05T10:00:00Z',
}
const fill = {
  id: 'a-1',
  activity_type: 'FILL',
  transaction_time: '2026-01-05T10:00:00Z',
  order_id: 'o-1',
  price: '150',
  qty: '10',
  cum_qty: '10',
}
const fee = { id: 'a-2', activity_type: 'FEE', date: '2026-01-05', net_amount: '-1' }

/**
 * A broker that answers every read with these rows, and the log lines and counts of unreadable
 * rows.
 */
function answering(...rows: readonly object[]) {
  const metrics = new Metrics()
  const lines: string[] = []
  const told = countUnread(metrics, pino({}, { write: (line: string) => void lines.push(line) }))
  const fetch = async (): Promise<Response> =>
    new Response(JSON.stringify(rows), { headers: { 'content-type': 'application/json' } })
  const transport = { fetch, openEvents: () => Promise.reject(new Error('not here')) }
  const broker = createAlpacaBroker(
    { keyId: 'K', secretKey: 'S' },
    endpointOf('sandbox', 'http://127.0.0.1:1'),
    transport,
    realTimers(),
    undefined,
    told({ userId: 'u1', connectionId: 'broker_1' }),
  )
  const counted = async (name: string, label: string, is: string): Promise<number> => {
    const { values } = await metrics.registry.getSingleMetric(name)!.get()
    return values.find(({ labels }) => labels[label] === is)?.value ?? 0
  }
  const count = (listing: string) =>
    counted('fillcast_broker_rows_unread_total', 'listing', listing)
  const countFields = (field: string) =>
    counted('fillcast_broker_fields_unread_total', 'field', field)
  return { broker, count, countFields, lines }
}
const SINCE = '2026-01-01T00:00:00.000Z'

test('an unreadable order is left out, counted and named once; the others are read', async () => {
  const mleg = { ...order, id: 'o-2', symbol: null, side: null, order_class: 'mleg' }
  const { broker, count, lines } = answering(order, mleg)
  for (let times = 0; times < 3; times += 1)
    expect(
      (await broker.listOrders({ status: 'open' })).map(({ brokerOrderId }) => brokerOrderId),
    ).toEqual(['o-1'])
  expect(await count('orders')).toBe(1)
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0]!)).toMatchObject({
    listing: 'orders',
    id: 'o-2',
    msg: 'broker.row_unread',
  })
  expect(lines[0]).not.toContain('mleg') // the row itself is not logged
})

const EPOCH = '1970-01-01T00:00:00.000000000Z'
const TEN = '2026-01-05T10:00:00.000000000Z'
test.each<[what: string, over: object, field: string, read: object]>([
  [
    'no submission time',
    { submitted_at: null, created_at: TEN },
    'submittedAt',
    { submittedAt: TEN, updatedAt: TEN },
  ],
  ['no update time', { updated_at: null }, 'updatedAt', { updatedAt: TEN }],
  [
    'no time at all',
    { submitted_at: null, updated_at: '' },
    'updatedAt',
    { submittedAt: EPOCH, updatedAt: EPOCH },
  ],
  ['a limit that is no number', { limit_price: '' }, 'limitPrice', { limitPrice: null }],
  ['a new type', { type: 'iceberg' }, 'orderType', { orderType: null }],
  ['a new side', { side: 'cross' }, 'side', { side: null }],
  ['a new time in force', { time_in_force: 'gtd' }, 'timeInForce', { timeInForce: null }],
  ['no symbol', { symbol: null }, 'symbol', { symbol: '' }],
  [
    'a client order id that is no text',
    { client_order_id: 7 },
    'clientOrderId',
    { clientOrderId: '' },
  ],
  ['exits that are no list', { legs: 'none' }, 'legs', { legs: [] }],
])(
  'an order with %s is read without it, and that is counted and logged once',
  async (_what, over, field, read) => {
    const { broker, count, countFields, lines } = answering({ ...order, ...over })
    for (let times = 0; times < 3; times += 1) {
      const [seen] = await broker.listOrders({ status: 'open' })
      expect(seen).toMatchObject({
        brokerOrderId: 'o-1',
        status: 'new',
        filledQuantity: '0',
        ...read,
      })
      expect(seen?.unread).toContain(field)
    }
    expect([await countFields(field), await count('orders')]).toEqual([1, 0])
    expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual(
      expect.objectContaining({ listing: 'orders', id: 'o-1', field, msg: 'broker.field_unread' }),
    )
  },
)

test.each<[what: string, over: object, read: object]>([
  ['no client order id', { client_order_id: null }, { clientOrderId: '' }],
  ['a quantity as a number with an exponent', { qty: 1.2e-7 }, { quantity: '0.00000012' }],
  ['a price as text with an exponent', { limit_price: '1.5E2' }, { limitPrice: '150' }],
  ['a side of several words', { side: 'sell_short' }, { side: 'sell' }],
  [
    'a side only in `position_intent`',
    { side: null, position_intent: 'buy_to_open' },
    { side: 'buy' },
  ],
  [
    'an average price before anything was executed',
    { filled_avg_price: '' },
    { filledAveragePrice: null },
  ],
])('an order with %s is read in full', async (_what, over, read) => {
  const { broker, lines } = answering({ ...order, ...over })
  const [seen] = await broker.listOrders({ status: 'open' })
  expect(seen).toMatchObject(read)
  expect([seen?.unread, lines]).toEqual([undefined, []])
})

test.each<[what: string, over: object]>([
  ['no status', { status: null }],
  ['no filled quantity', { filled_qty: null }],
  ['an average price that is no number', { filled_qty: '1', filled_avg_price: 'high' }],
])('an order with %s is not read', async (_what, over) => {
  const { broker, count } = answering({ ...order, ...over })
  expect([await broker.listOrders({ status: 'open' }), await count('orders')]).toEqual([[], 1])
})

test('an order with an empty id is left out, and the other orders are read', async () => {
  const { broker, count } = answering(order, { ...order, id: '' })
  expect(await broker.listOrders({ status: 'open' })).toHaveLength(1)
  expect(await count('orders')).toBe(1)
})

test('executions and activities - the same', async () => {
  const executions = answering(fill, { ...fill, id: 'a-9', qty: 'ten' })
  expect(await executions.broker.listExecutions(SINCE)).toHaveLength(1)
  expect([await executions.count('executions'), await executions.count('activities')]).toEqual([
    1, 0,
  ])
  const activities = answering(fee, { ...fee, id: 'a-8', net_amount: 'some' })
  expect(await activities.broker.listActivities(SINCE)).toHaveLength(1)
  expect([await activities.count('activities'), activities.lines.length]).toEqual([1, 1])
})
