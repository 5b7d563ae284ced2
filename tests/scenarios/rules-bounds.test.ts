import { dec } from '#domain'
import { describe, expect, test } from 'vitest'
import type { Broker } from '../../workers/broker/port.ts'
import { taken } from './taken.ts'
import { openWorld } from './world.ts'

// Each bound of time that runs watch, shown a violation, as in rules.test.ts.

describe('rules about bounds of time find a violation', () => {
  /** Orders are neither listed nor found by their ids. */
  const blind = (broker: Broker): Broker =>
    taken(broker, { listOrders: async () => [], findByBrokerOrderId: async () => null })

  test.each([
    ['a market order', {}, 'C8 an execution of t1 is not in the log for more than 5000 ms'],
    [
      'a resting order',
      { orderType: 'limit', limitPrice: '180' } as const,
      'C8 an execution of t1 is not in the log for more than 15000 ms',
    ],
  ])(
    'C8 finds an execution of %s that neither stream nor poll reports',
    async (_what, order, finding) => {
      const world = await openWorld({ seed: 9, planted: blind })
      await world.advance(60_000)
      world.submit(order)
      await world.advance(1_000)
      world.broker.isMute = true
      world.fill('t1', '180')
      await expect(world.advance(60_000)).rejects.toThrow(finding)
    },
  )

  test('C8 an execution before the opening - the bound starts at the opening', async () => {
    const startMs = Date.parse('2024-03-15T13:27:50Z')
    const world = await openWorld({ seed: 9, startMs, planted: blind })
    world.broker.isOpen = null // by its calendar
    await world.advance(60_000)
    world.submit({ orderType: 'limit', limitPrice: '180' })
    await world.advance(65_000)
    world.broker.isMute = true
    world.fill('t1', '180')
    await world.advance(5_000 + 12_000)
    await expect(world.advance(4_000)).rejects.toThrow('C8 an execution of t1 is not in the log')
  })

  test('C8 the broker is back but fails the trial - the bound starts after the pause', async () => {
    const world = await openWorld({ seed: 9 })
    await world.advance(60_000)
    world.submit({ orderType: 'limit', limitPrice: '180' })
    await world.advance(1_000)
    world.broker.isDown = true
    await world.advance(33_000)
    world.fill('t1', '180')
    world.broker.isMute = true
    world.broker.isDown = false
    world.broker.fail('read', { kind: 'error_before' }, { times: 1 })
    await world.advance(120_000)
    expect(world.told('t1').slice(-1)).toEqual(['trade.filled'])
  })

  test('C8 a read needed for a report hangs - the bound starts with its answer', async () => {
    const world = await openWorld({ seed: 9 })
    await world.advance(60_000)
    world.submit()
    await world.settle()
    world.broker.fail('submit', { kind: 'lose_reply' })
    world.broker.fail('findParent', { kind: 'delay_reply', ms: 9_000 })
    const exits = { orderClass: 'oto', takeProfit: { limitPrice: '190' } } as const
    world.submit({ tradeId: 't2', symbol: 'MSFT', orderType: 'limit', limitPrice: '180', ...exits })
    await world.settle()
    world.fill('t1', '180')
    await world.advance(20_000)
    expect(world.told('t1').at(-1)).toBe('trade.filled')
  })

  test('C8 finds a submission that arrived and is never found', async () => {
    const world = await openWorld({
      seed: 9,
      planted: (broker) => taken(blind(broker), { findByClientOrderId: async () => null }),
    })
    await world.advance(60_000)
    world.broker.isMute = true
    world.broker.fail('submit', { kind: 'lose_reply' })
    world.submit()
    await expect(world.advance(120_000)).rejects.toThrow(
      'C8 t1 is at the broker, and not known to be',
    )
  })

  test('C8 finds a submission that never arrived and is never closed', async () => {
    const world = await openWorld({ seed: 9 })
    await world.advance(60_000)
    world.broker.fail('submit', { kind: 'lose_request' }, { times: Infinity })
    world.queue.addPassing = () => {} // nobody takes it up again
    world.at('submit.recorded', () => world.queue.ids().forEach((id) => world.queue.giveUp(id)))
    world.submit()
    await expect(world.advance(30 * 60_000)).rejects.toThrow('C8 t1 is nowhere, and not closed')
  })

  test('C8 finds a mute stream that is not replaced', async () => {
    const world = await openWorld({
      seed: 9,
      planted(broker) {
        let first: ReturnType<Broker['openTradeStream']> | null = null
        return taken(broker, {
          openTradeStream: (...args) => (first ??= broker.openTradeStream(...args)),
        })
      },
    })
    world.broker.isMute = true
    const trade = async (count: number): Promise<void> => {
      world.submit({ tradeId: `t${count}`, quantity: '1' })
      await world.advance(1_000)
      world.fill(`t${count}`, '180')
      await world.advance(10_000)
    }
    await expect(
      (async () => {
        for (let count = 0; count < 8; count += 1) await trade(count)
      })(),
    ).rejects.toThrow('C8 the stream of broker_1 told nothing of what 4 polls found, and stands')
  })

  test('C8 reads of an account in doubt find fills - they do not count as polls', async () => {
    let readings = 0
    let isOff = false
    const world = await openWorld({
      seed: 9,
      planted: (broker) =>
        taken(broker, {
          // Another difference at each reading: the account stays in doubt, and is read every 16 s.
          async readPortfolio() {
            const snapshot = await broker.readPortfolio()
            if (!isOff) return snapshot
            const quantity = dec(String((readings += 1)))
            const one = {
              symbol: 'MSFT',
              quantity,
              averageEntryPrice: dec('180'),
              currentPrice: null,
            }
            return { ...snapshot, positions: [...snapshot.positions, one] }
          },
        }),
    })
    await world.advance(1_500)
    world.broker.streams.cut() // the account is read between two polls from here on
    await world.advance(10_000)
    isOff = true
    await world.advance(65_500)
    world.broker.isMute = true
    for (let count = 0; count < 5; count += 1) {
      world.submit({ tradeId: `t${count}`, quantity: '1' })
      await world.advance(1_300)
      world.fill(`t${count}`, '180')
      await world.advance(14_700)
      expect(world.told(`t${count}`).at(-1)).toBe('trade.filled')
    }
  })
})
