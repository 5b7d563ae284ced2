import { expect, test } from 'vitest'
import { type BrokerOrder, dec } from '#domain'
import { type Broker, BrokerError, ORDERS_PER_PAGE } from '../../workers/broker/port.ts'
import { FirstReading } from '../../workers/accounts/first-reading.ts'
import { brokerOrder } from '../domain/orders.ts'

const SINCE = '2024-03-14T14:00:00.000Z'
const PAGES_PER_TRY = 10

/**
 * A broker with a long day behind it, whose request budget lets a try read `PAGES_PER_TRY` pages.
 */
class BusyBroker implements Pick<Broker, 'listOrderPage' | 'listOrders' | 'findByBrokerOrderId'> {
  readonly orders: BrokerOrder[] = []
  pagesRead = 0
  pagesLeft = PAGES_PER_TRY
  lookedUp: string[] = []

  constructor(count: number) {
    for (let n = 0; n < count; n += 1) this.add('filled')
  }

  add(status: BrokerOrder['status']): BrokerOrder {
    const brokerOrderId = `o-${this.orders.length}`
    const order = brokerOrder(status, status === 'filled' ? '10' : '0', 1, { brokerOrderId })
    this.orders.push(order)
    return order
  }

  fill(id: string): void {
    const index = this.orders.findIndex(({ brokerOrderId }) => brokerOrderId === id)
    this.orders[index] = { ...this.orders[index]!, status: 'filled', filledQuantity: dec('10') }
  }

  async listOrderPage(_since: string, afterId: string | null) {
    if (this.pagesLeft === 0) throw new BrokerError('RATE_LIMITED', 'the budget is spent')
    this.pagesLeft -= 1
    this.pagesRead += 1
    const from =
      afterId === null
        ? 0
        : this.orders.findIndex(({ brokerOrderId }) => brokerOrderId === afterId) + 1
    const orders = this.orders.slice(from, from + ORDERS_PER_PAGE)
    return { orders, rows: orders.length, lastId: orders.at(-1)?.brokerOrderId ?? null }
  }

  async listOrders() {
    return this.orders.filter(({ status }) => status === 'new')
  }

  async findByBrokerOrderId(id: string) {
    this.lookedUp.push(id)
    return this.orders.find(({ brokerOrderId }) => brokerOrderId === id) ?? null
  }
}

/**
 * Tries until the reading is whole, with a fresh budget each time. @returns how many tries it took
 */
async function readWhole(
  reading: FirstReading,
  broker: BusyBroker,
): Promise<{ orders: readonly BrokerOrder[]; tries: number }> {
  for (let tries = 1; ; tries += 1) {
    broker.pagesLeft = PAGES_PER_TRY
    try {
      return { orders: await reading.read(broker as unknown as Broker, SINCE), tries }
    } catch (error) {
      if (tries > 20 || !(error instanceof BrokerError)) throw error
    }
  }
}

test('a day of more than 20,000 orders is read over several budgets, each page once', async () => {
  const broker = new BusyBroker(20_600)
  const reading = new FirstReading()
  reading.begin(SINCE)
  const { orders, tries } = await readWhole(reading, broker)
  expect(orders).toHaveLength(20_600)
  expect([tries, broker.pagesRead]).toEqual([5, 42])
  // The second reading of the same try costs one page, not forty-two.
  await reading.read(broker as unknown as Broker, SINCE)
  expect(broker.pagesRead).toBe(43)
})

test('an order that executed after its page was read is shown as it is now', async () => {
  const broker = new BusyBroker(5_000)
  const resting = broker.add('new')
  for (let n = 0; n < 5_000; n += 1) broker.add('filled')
  const reading = new FirstReading()
  reading.begin(SINCE)
  const filledOf = (orders: readonly BrokerOrder[]) =>
    orders.find(({ brokerOrderId }) => brokerOrderId === resting.brokerOrderId)?.filledQuantity
  expect(filledOf((await readWhole(reading, broker)).orders)).toBe('0')
  broker.fill(resting.brokerOrderId)
  const late = broker.add('new')
  const { orders } = await readWhole(reading, broker)
  expect(filledOf(orders)).toBe('10')
  expect(broker.lookedUp).toEqual([resting.brokerOrderId])
  expect(orders.map(({ brokerOrderId }) => brokerOrderId)).toContain(late.brokerOrderId)
})

test('a short day is read whole each time, and no order by itself', async () => {
  const broker = new BusyBroker(ORDERS_PER_PAGE + 20)
  const reading = new FirstReading()
  for (let n = 0; n < 3; n += 1) expect((await readWhole(reading, broker)).orders).toHaveLength(520)
  expect([broker.pagesRead, broker.lookedUp]).toEqual([6, []])
})

test('the day begins when the listing began, also where the rest is read later', () => {
  const reading = new FirstReading()
  expect(reading.begin(SINCE)).toBe(SINCE)
  expect(reading.begin('2024-03-15T00:00:00.000Z')).toBe(SINCE)
  reading.end()
  expect(reading.begin('2024-03-15T00:00:00.000Z')).toBe('2024-03-15T00:00:00.000Z')
})
