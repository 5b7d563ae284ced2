import { describe, expect, test } from 'vitest'
import { type BrokerOrder, dec } from '#domain'
import { Patience } from '../../workers/accounts/patience.ts'
import { brokerOrder, executionOf } from '../domain/orders.ts'
import { FakeClock } from '../support/fake-clock.ts'

const toldOf = (order: BrokerOrder, hasExecuted = false) => ({
  order,
  execution: hasExecuted ? executionOf('100', '180', '100', 3) : null,
  bust: null,
  at: order.updatedAt,
})
const acknowledged = (id: string): BrokerOrder => brokerOrder('new', '0', 1, { brokerOrderId: id })

function make(seen: readonly string[] = []) {
  const clock = new FakeClock()
  const applied: string[] = []
  let missed = 0
  const patience = new Patience(clock, {
    onAcknowledged: ({ order }) => void applied.push(order.brokerOrderId),
    isApplied: (id) => seen.includes(id),
    onMissed: () => void (missed += 1),
  })
  return { clock, applied, patience, missed: () => missed }
}

describe('an acknowledgement of a market order', () => {
  test('waits, and is applied when nothing better came', async () => {
    const { clock, applied, patience } = make()
    expect(patience.holds(toldOf(acknowledged('b1')))).toBe(true)
    expect(patience.holds(toldOf(acknowledged('b2')))).toBe(true)
    await clock.advance(249)
    expect(applied).toEqual([])
    await clock.advance(1)
    expect(applied).toEqual(['b1', 'b2'])
  })

  test('each waits its own time', async () => {
    const { clock, applied, patience } = make()
    patience.holds(toldOf(acknowledged('b1')))
    await clock.advance(200)
    patience.holds(toldOf(acknowledged('b2')))
    await clock.advance(249)
    expect(applied).toEqual(['b1'])
    await clock.advance(1)
    expect(applied).toEqual(['b1', 'b2'])
  })

  test('is dropped when the order’s next message comes, which is applied at once', async () => {
    const { clock, applied, patience } = make()
    patience.holds(toldOf(acknowledged('b1')))
    expect(patience.holds(toldOf(brokerOrder('filled', '100', 3), true))).toBe(false)
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
  ])('what else there is does not wait: %s', (_what, order) => {
    expect(make().patience.holds(toldOf(order))).toBe(false)
  })

  test('stopped, nothing is applied any more', async () => {
    const { clock, applied, patience } = make()
    patience.holds(toldOf(acknowledged('b1')))
    patience.stop()
    await clock.advance(1_000)
    expect(applied).toEqual([])
  })
})

describe('an execution that only the activity stream told', () => {
  test.each([
    ['seen by then: nothing', ['b1', 'b2'], 0],
    ['one not seen: a look, once for all of them', ['b1'], 1],
  ])('%s', async (_what, seen, looks) => {
    const { clock, patience, missed } = make(seen)
    patience.expect('b1', dec('10'))
    patience.expect('b2', dec('10'))
    patience.expect('b2', dec('20'))
    await clock.advance(999)
    expect(missed()).toBe(0)
    await clock.advance(5_000)
    expect(missed()).toBe(looks)
  })
})
