import { describe, expect, test } from 'vitest'
import { type BrokerOrder, dec } from '#domain'
import { AckDebounce } from '../../workers/accounts/ack-debounce.ts'
import { brokerOrder, executionOf } from '../domain/orders.ts'
import { FakeClock } from '../support/fake-clock.ts'

const toldOf = (order: BrokerOrder, hasExecuted = false) => ({
  order,
  execution: hasExecuted ? executionOf('100', '180', '100', 3) : null,
  bust: null,
  at: order.updatedAt,
})
const acknowledged = (id: string): BrokerOrder => brokerOrder('new', '0', 1, { brokerOrderId: id })

function make() {
  const clock = new FakeClock()
  const applied: string[] = []
  const debounce = new AckDebounce(clock, ({ order }) => void applied.push(order.brokerOrderId))
  return { clock, applied, debounce }
}

describe('an acknowledgement of a market order', () => {
  test('waits, and is applied when no better report came', async () => {
    const { clock, applied, debounce } = make()
    expect(debounce.delays(toldOf(acknowledged('b1')))).toBe(true)
    expect(debounce.delays(toldOf(acknowledged('b2')))).toBe(true)
    await clock.advance(249)
    expect(applied).toEqual([])
    await clock.advance(1)
    expect(applied).toEqual(['b1', 'b2'])
  })

  test('each waits its own time', async () => {
    const { clock, applied, debounce } = make()
    debounce.delays(toldOf(acknowledged('b1')))
    await clock.advance(200)
    debounce.delays(toldOf(acknowledged('b2')))
    await clock.advance(249)
    expect(applied).toEqual(['b1'])
    await clock.advance(1)
    expect(applied).toEqual(['b1', 'b2'])
  })

  test('is dropped when the order’s next report comes, which is applied at once', async () => {
    const { clock, applied, debounce } = make()
    debounce.delays(toldOf(acknowledged('b1')))
    expect(debounce.delays(toldOf(brokerOrder('filled', '100', 3), true))).toBe(false)
    await clock.advance(1_000)
    expect(applied).toEqual([])
  })

  test.each<[string, BrokerOrder]>([
    [
      'a resting order, which may protect a position',
      brokerOrder('new', '0', 1, { orderType: 'stop', stopPrice: dec('1') }),
    ],
    ['a replacement', brokerOrder('new', '0', 1, { replaces: 'b0' })],
    ['an ending', brokerOrder('canceled', '0', 1)],
    ['a part', brokerOrder('new', '5', 1)],
  ])('any other update does not wait: %s', (_what, order) => {
    expect(make().debounce.delays(toldOf(order))).toBe(false)
  })

  test('stopped - no waiting update is applied any more', async () => {
    const { clock, applied, debounce } = make()
    debounce.delays(toldOf(acknowledged('b1')))
    debounce.stop()
    await clock.advance(1_000)
    expect(applied).toEqual([])
  })
})
