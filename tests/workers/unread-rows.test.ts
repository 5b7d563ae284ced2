import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Metrics } from '#runtime'
import { createAlpacaBroker, endpointOf } from '../../workers/broker/alpaca/index.ts'
import { countUnread } from '../../workers/metrics.ts'
import { realTimers } from '../conformance/broker-harness.ts'

const order = {
  ...{ id: 'o-1', client_order_id: 'c-1', symbol: 'AAPL', side: 'buy', type: 'limit', time_in_force: 'day' },
  ...{ status: 'new', qty: '10', filled_qty: '0', limit_price: '150', order_class: '' },
  ...{ submitted_at: '2026-01-05T10:00:00Z', updated_at: '2026-01-05T10:00:00Z' },
}
const fill = {
  ...{ id: 'a-1', activity_type: 'FILL', transaction_time: '2026-01-05T10:00:00Z', order_id: 'o-1' },
  ...{ price: '150', qty: '10', cum_qty: '10' },
}
const fee = { id: 'a-2', activity_type: 'FEE', date: '2026-01-05', net_amount: '-1' }

/** A broker that answers every reading with these rows, and what is told of those that cannot be read. */
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
  const count = async (listing: string): Promise<number> => {
    const { values } = await metrics.registry.getSingleMetric('fillcast_broker_rows_unread_total')!.get()
    return values.find(({ labels }) => labels['listing'] === listing)?.value ?? 0
  }
  return { broker, count, lines }
}
const SINCE = '2026-01-01T00:00:00.000Z'

test('an order that cannot be read is left out, counted once and named once; the others are read', async () => {
  const mleg = { ...order, id: 'o-2', symbol: null, side: null, order_class: 'mleg' }
  const { broker, count, lines } = answering(order, mleg)
  for (let times = 0; times < 3; times += 1)
    expect((await broker.listOrders({ status: 'open' })).map(({ brokerOrderId }) => brokerOrderId)).toEqual(['o-1'])
  expect(await count('orders')).toBe(1)
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0]!)).toMatchObject({ listing: 'orders', id: 'o-2', msg: 'broker.row_unread' })
  expect(lines[0]).not.toContain('mleg') // the row itself is nobody's business
})

test('an order with an empty id is left out, and is no reason not to read the others', async () => {
  const { broker, count } = answering(order, { ...order, id: '' })
  expect(await broker.listOrders({ status: 'open' })).toHaveLength(1)
  expect(await count('orders')).toBe(1)
})

test('the same for executions and activities', async () => {
  const executions = answering(fill, { ...fill, id: 'a-9', qty: 'ten' })
  expect(await executions.broker.listExecutions(SINCE)).toHaveLength(1)
  expect([await executions.count('executions'), await executions.count('activities')]).toEqual([1, 0])
  const activities = answering(fee, { ...fee, id: 'a-8', net_amount: 'some' })
  expect(await activities.broker.listActivities(SINCE)).toHaveLength(1)
  expect([await activities.count('activities'), activities.lines.length]).toEqual([1, 1])
})
