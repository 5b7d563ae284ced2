import { describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec } from '#domain'
import { noMetrics } from '../../workers/accounts/metrics.ts'
import { settle } from '../support/fake-clock.ts'
import { atBroker, bracket, exitsOf } from './bracket.ts'
import { type Followed, following } from './followed.ts'

const t1 = clientOrderIdOf('u1', 't1')
const t2 = clientOrderIdOf('u1', 't2')
const started = following()

describe('orders left behind', () => {
  const holding = async (one: Followed): Promise<void> => {
    await atBroker(one, {})
    one.broker.fill(t1, '180')
    await atBroker(one, {
      tradeId: 't2',
      side: 'sell',
      orderType: 'stop',
      stopPrice: dec('170'),
      timeInForce: 'gtc',
    })
    await settle()
  }
  const closings: Record<string, (one: Followed) => void> = {
    'by an order from elsewhere': ({ broker }) => {
      const { brokerOrderId } = broker.placeElsewhere('AAPL', '100', 'sell')
      broker.fill(brokerOrderId, '185')
    },
    'by a bust': ({ broker }) => broker.bust(t1),
    'by a split to zero': ({ broker }) => broker.split('AAPL', '0'),
  }
  test.each(Object.entries(closings))(
    'CAN-10 position closed %s - the protective order is canceled',
    async (_how, close) => {
      const one = await started()
      await holding(one)
      close(one)
      await one.advance(120_000)
      expect((await one.store.loadConnection('u1', 'broker_1')).positions.size).toBe(0)
      expect(new Set(one.followed)).toEqual(new Set(['cancel t2 leftover']))
    },
  )

  test('CAN-10 exits left after a close elsewhere - one cancel, an alarm if they stay', async () => {
    const told: string[] = []
    const one = await started({
      accountMetrics: { ...noMetrics, leftover: (what) => void told.push(what) },
    })
    await atBroker(one, bracket)
    one.broker.fill(t1, '180')
    closings['by an order from elsewhere']!(one)
    await one.advance(30_000)
    expect(one.followed).toEqual(['cancel t1 leftover'])
    expect(told).toEqual(['canceled'])
    await one.advance(90_000) // nobody carries the cancel out here
    expect(told).toEqual(['canceled', 'unconfirmed'])
    one.broker.move(exitsOf(one).stop, 'canceled')
    await one.advance(30_000)
    expect(one.followed).toEqual(['cancel t1 leftover'])
  })

  test('CAN-10 the other exit after a filled exit - left to the broker to cancel', async () => {
    const one = await started()
    await atBroker(one, bracket)
    one.broker.fill(t1, '180')
    one.broker.fill(exitsOf(one).profit, '190')
    await one.advance(120_000)
    expect(one.followed).toEqual([])
  })

  test('CAN-10 a stop of unknown origin - reported, never canceled', async () => {
    const told: string[] = []
    const one = await started({
      accountMetrics: { ...noMetrics, leftover: (what) => void told.push(what) },
    })
    const { ledger } = one.broker
    ledger.place(
      'theirs',
      { symbol: 'AAPL', side: 'sell', quantity: dec('5'), orderType: 'stop', stopPrice: dec('9') },
      null,
    )
    await one.advance(60_000)
    expect(told).toEqual(['external'])
    expect(one.followed).toEqual([])
  })

  /** An order of another program with its exits, on an account that is followed. */
  function placeWithExits({ broker: { ledger } }: Followed, orderClass: 'bracket' | 'oto'): void {
    const terms = {
      side: 'buy',
      quantity: dec('5'),
      orderType: 'limit',
      limitPrice: dec('180'),
    } as const
    const stopLoss = orderClass === 'oto' ? null : { stopPrice: dec('170'), limitPrice: null }
    ledger.place(
      'theirs',
      { symbol: 'AAPL', orderClass, ...terms },
      { takeProfit: { limitPrice: dec('190') }, stopLoss },
    )
  }

  const classes = ['bracket', 'oto'] as const
  test.each(classes)(
    'CAN-10 an exit of unknown origin of an %s - reported, never canceled',
    async (orderClass) => {
      const told: string[] = []
      const one = await started({
        accountMetrics: { ...noMetrics, leftover: (what) => void told.push(what) },
      })
      placeWithExits(one, orderClass)
      one.broker.fill('theirs', '180')
      await one.advance(30_000)
      one.broker.bust('theirs')
      await one.advance(60_000)
      expect([told, one.followed]).toEqual([['external'], []])
    },
  )

  test.each(classes)(
    'CAN-10 a resting %s of unknown origin with waiting exits - not reported',
    async (orderClass) => {
      const told: string[] = []
      const one = await started({
        accountMetrics: { ...noMetrics, leftover: (what) => void told.push(what) },
      })
      placeWithExits(one, orderClass)
      await one.advance(60_000)
      expect([told, one.followed]).toEqual([[], []])
    },
  )

  test('CAN-10 a stop that opens a position - left alone', async () => {
    const one = await started()
    await atBroker(one, { tradeId: 't2', orderType: 'stop', stopPrice: dec('200') })
    await one.advance(60_000)
    expect(one.followed).toEqual([])
    expect(one.broker.ledger.order(t2).status).toBe('new')
  })
})
