import { describe, expect, test } from 'vitest'
import { closePositionSchema } from '#contract'
import { clientOrderIdOf, dec, type Exposure } from '#domain'
import type { Broker } from '../../workers/broker/port.ts'
import { intentOf } from '../domain/orders.ts'
import { taken } from './taken.ts'
import { openWorld, type World } from './world.ts'

// Each rule of a run finds a violation: a changed state of the store, or a planted defect in a
// port of the workers.

describe('rules about stored state find a violation', () => {
  async function filled() {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.advance(1_000)
    world.fill('t1', '180')
    await world.advance(1_000)
    return world
  }
  const address = { orderId: 't1', connectionId: 'broker_1', symbol: '' }

  test('S10 finds stored cash that no event reports', async () => {
    const world = await filled()
    const { version, slice } = await world.store.loadSlice('u1', address)
    const account = { ...slice.account!, cash: dec('1') }
    const open = { expectVersion: version, fence: { kind: 'version' }, events: [] } as const
    await world.store.commit('u1', { ...open, writes: [{ kind: 'account', account }] })
    await expect(world.check()).rejects.toThrow('S10 the cash told')
  })

  test('S10 finds a trade that is sent as filled and stored as open', async () => {
    const world = await filled()
    const { version, slice } = await world.store.loadSlice('u1', address)
    const order = { ...slice.order!, status: 'submitted' } as const
    const open = { expectVersion: version, fence: { kind: 'version' }, events: [] } as const
    await world.store.commit('u1', { ...open, writes: [{ kind: 'order', order }] })
    await expect(world.check()).rejects.toThrow('S10 t1 is stored as submitted, told trade.filled')
  })

  test('S10 finds a trade that is sent as open and stored as canceled', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.settle()
    const { version, slice } = await world.store.loadSlice('u1', address)
    const order = { ...slice.order!, status: 'canceled' } as const
    const open = { expectVersion: version, fence: { kind: 'version' }, events: [] } as const
    await world.store.commit('u1', { ...open, writes: [{ kind: 'order', order }] })
    await expect(world.check()).rejects.toThrow('S10 t1 is stored as canceled, told no ending')
  })

  test('S2 finds an order of ours at the broker without an intent', async () => {
    const world = await openWorld({ seed: 9, roles: ['orders'], isAdopted: false })
    const intent = intentOf({ tradeId: 'lost' })
    await world.broker.submit({ intent, clientOrderId: clientOrderIdOf('u1', 'lost') })
    await expect(world.quiesce({ withinMs: 1_000 })).rejects.toThrow(
      'S2 lost is at the broker, and there is no intent',
    )
  })

  test('C4 finds a quarantined trade whose own order has ended at the broker', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.settle()
    const { version, slice } = await world.store.loadSlice('u1', address)
    const order = {
      ...slice.order!,
      status: 'submitting',
      setAsideAt: '2024-03-15T14:00:00Z',
    } as const
    const open = { expectVersion: version, fence: { kind: 'version' }, events: [] } as const
    await world.store.commit('u1', { ...open, writes: [{ kind: 'order', order }] })
    world.broker.orders.set('b-1', { ...world.broker.orders.get('b-1')!, status: 'canceled' })
    await expect(world.quiesce({ withinMs: 1_000 })).rejects.toThrow('C4 t1 is stored as open')
  })

  test('C6 finds an exit on a flat symbol if cancels fail and no alarm is raised', async () => {
    const world = await openWorld({
      seed: 9,
      planted: (broker) => taken(broker, { cancel: async () => ({ kind: 'requested' }) }),
    })
    world.warnings.push = () => 0
    const exits = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '170' } }
    world.submit({ orderClass: 'bracket', orderType: 'limit', limitPrice: '180', ...exits })
    await world.settle()
    world.fill('t1', '180')
    world.broker.fill(world.broker.placeElsewhere('AAPL', '100', 'sell').brokerOrderId, '185')
    await expect(world.quiesce()).rejects.toThrow(/C6 b-2 protects AAPL, of which nothing is held/)
  })

  test('C6 finds an oco on a symbol that is no longer held', async () => {
    const world = await openWorld({
      seed: 9,
      planted: (broker) => taken(broker, { cancel: async () => ({ kind: 'requested' }) }),
    })
    world.warnings.push = () => 0
    world.broker.fill(world.broker.placeElsewhere('AAPL', '10').brokerOrderId, '180')
    await world.settle()
    const exits = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '170' } }
    world.submit({
      orderClass: 'oco',
      orderType: 'limit',
      side: 'sell',
      quantity: '10',
      timeInForce: 'gtc',
      ...exits,
    })
    await world.settle()
    world.broker.changeSymbol('AAPL', 'AAPLX')
    await expect(world.quiesce()).rejects.toThrow(/C6 b-\d protects AAPL, of which nothing is held/)
  })

  test('S15 finds a repeat that is booked again because its record is gone', async () => {
    const world = await openWorld({ seed: 9 })
    world.broker.fill(world.broker.placeElsewhere('AAPL', '10').brokerOrderId, '180')
    await world.quiesce()
    const records = world.store.recordsOf('u1') as Map<string, string>
    expect(records.delete('order:ext.b-1')).toBe(true)
    await expect(world.repeatAll()).rejects.toThrow(/S15 came of repeats/)
  })
})

/** Calls of a worker without the checks of the worker code. */
function rogueIn(world: World) {
  const [process] = world.workers
  const store = process!.door('store', world.store, true)
  const broker = process!.door('broker', world.broker, false, 'u1 broker_1')
  return {
    store,
    claim: (exposure: Exposure = 'adds') => {
      const { revision } = world.store.controls.linked({
        userId: 'u1',
        connectionId: 'broker_1',
      })!.connection
      const who = {
        kind: 'take',
        tradeId: 't1',
        by: 'rogue',
        connectionId: 'broker_1',
        revision,
      } as const
      const take = { ...who, exposure, budget: true, pace: null, first: false }
      return store.commit('u1', {
        expectVersion: world.store.versionOf('u1'),
        fence: take,
        writes: [],
        events: [],
      })
    },
    send: (over: Parameters<typeof intentOf>[0] = {}) =>
      broker.submit({ intent: intentOf(over), clientOrderId: clientOrderIdOf('u1', 't1') }),
  }
}

describe('rules about submissions find a violation', () => {
  const halt = {
    allows: 'nothing',
    by: 'ops',
    reason: 'drill',
    at: '2024-03-15T14:00:00Z',
  } as const
  const user = { scope: 'user', userId: 'u1' } as const

  test('S3 finds a claim of an ended trade', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.advance(1_000)
    world.fill('t1', '180')
    await world.advance(1_000)
    void rogueIn(world).claim()
    await expect(world.settle()).rejects.toThrow('S3 t1 is filled, and is claimed')
  })

  test('S3 finds an order sent after its deadline', async () => {
    const world = await openWorld({ seed: 9 })
    const { claim, send } = rogueIn(world)
    void claim().then(() => send({ notAfter: '2024-03-15T14:00:01.000Z' }))
    await expect(world.settle()).rejects.toThrow('S3 t1 is past its deadline, and is sent')
  })

  test('S3 finds a second request under one claim', async () => {
    const world = await openWorld({ seed: 9 })
    const { claim, send } = rogueIn(world)
    void claim()
      .then(() => send())
      .then(() => send())
    await expect(world.settle()).rejects.toThrow('S3 t1 is sent without a claim of its own')
  })

  test('S17 finds a claim by a script that ignores the halts of its slot', async () => {
    const world = await openWorld({ seed: 9 })
    await world.store.controls.setHalt(user, halt)
    world.store.controls.haltOf = () => null
    world.submit()
    await expect(world.settle()).rejects.toThrow('S17 t1 is claimed under the halt of its user')
  })

  test('S17 finds a reducing claim of an order that opens a position', async () => {
    const world = await openWorld({ seed: 9 })
    await world.store.controls.setHalt(user, { ...halt, allows: 'reducing' })
    void rogueIn(world).claim('reduces')
    await expect(world.settle()).rejects.toThrow('S17 t1 is claimed under the halt of its user')
  })

  test('S20 finds a close of a billionth more than is held', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit({ quantity: '40.617371019' })
    await world.settle()
    world.fill('t1', '180')
    await world.settle()
    const position = world.store.positionOf('u1', 'broker_1', 'AAPL')!
    world.store.positionOf = () => ({ ...position, quantity: dec('40.617371018') })
    const of = { userId: 'u1', connectionId: 'broker_1', tradeId: 'x1', commandId: 'close-x1' }
    world.queue.add(
      'commands',
      'closePosition',
      closePositionSchema.parse({ ...of, symbol: 'AAPL' }),
      'close-x1',
    )
    await expect(world.settle()).rejects.toThrow(
      'S20 x1 is to close a position, and is claimed for more',
    )
  })

  test('S17 finds a request whose claim had read the global halt', async () => {
    const world = await openWorld({ seed: 9 })
    await world.store.controls.setHalt({ scope: 'global' }, halt)
    const { claim, send } = rogueIn(world)
    void claim().then(() => send())
    await expect(world.settle()).rejects.toThrow(
      'S17 t1 is sent, and its claim had read that everybody is halted',
    )
  })

  test('S17 finds a complete halt() while a submission has no outcome', async () => {
    const world = await openWorld({ seed: 9 })
    world.broker.fail('submit', { kind: 'lose_request' }, { times: Infinity })
    world.submit()
    await world.advance(1_000)
    world.store.recordsOf = () => new Map()
    void world.halt({}, { waitMs: 0 })
    await expect(world.settle()).rejects.toThrow('S17 halt() is complete, and t1 has no outcome')
  })

  test('S17 finds a request after a complete halt', async () => {
    const world = await openWorld({ seed: 9 })
    const { claim, send } = rogueIn(world)
    void claim()
    await world.settle()
    const halted = world.halt({ userId: 'u1' })
    await world.advance(1_000)
    expect(await halted).toEqual({ isComplete: true, waitingFor: 0 })
    void send()
    await expect(world.settle()).rejects.toThrow('S17 t1 is sent after a halt that was complete')
  })
})

describe('rules about reads find a violation', () => {
  async function holding(planted?: (broker: Broker) => Broker): Promise<World> {
    const world = await openWorld({ seed: 9, ...(planted === undefined ? {} : { planted }) })
    world.submit()
    await world.settle()
    world.fill('t1', '180')
    await world.advance(1_000)
    return world
  }

  test('S13 finds a failed read of the portfolio used as an empty one', async () => {
    const world = await holding((broker) => {
      const nothing = {
        brokerAccountId: 'account-1',
        currency: 'USD',
        cash: dec('82000'),
        positions: [],
      }
      return taken(broker, { readPortfolio: () => broker.readPortfolio().catch(() => nothing) })
    })
    world.broker.fail('readPortfolio', { kind: 'error_before' }, { times: Infinity })
    await expect(world.advance(300_000)).rejects.toThrow(
      'S13 AAPL becomes 0, and no complete reading shows it',
    )
  })

  test('S13 finds a failed read of activities used as an empty list', async () => {
    const world = await holding((broker) =>
      taken(broker, { listActivities: (since) => broker.listActivities(since).catch(() => []) }),
    )
    world.broker.fail('listActivities', { kind: 'error_before' }, { times: Infinity })
    world.broker.deposit('500')
    await expect(world.advance(300_000)).rejects.toThrow(
      'S13 cash becomes 82500, and no complete reading shows it',
    )
  })

  test('S13 finds a partial portfolio used as the complete one', async () => {
    const world = await holding((broker) =>
      taken(broker, {
        readPortfolio: async () => ({ ...(await broker.readPortfolio()), positions: [] }),
      }),
    )
    await expect(world.advance(300_000)).rejects.toThrow(
      'S13 AAPL becomes 0, and the reading shows 100',
    )
  })

  test('S13 finds cash that moves with an order that has no execution', async () => {
    const world = await holding()
    const order = world.store.orderOf('u1', 't1')!
    const account = world.store.accountOf('u1', 'broker_1')!
    const writes = [
      { kind: 'order', order: { ...order, status: 'submitted' } },
      { kind: 'account', account: { ...account, cash: dec('1') } },
    ] as const
    const open = {
      expectVersion: world.store.versionOf('u1'),
      fence: { kind: 'version' },
      events: [],
    } as const
    void rogueIn(world).store.commit('u1', { ...open, writes })
    await expect(world.settle()).rejects.toThrow(
      'S13 cash becomes 1 with an order of which nothing is booked',
    )
  })

  test('S13 finds a position that restarts from the size of one execution', async () => {
    const world = await holding()
    const position = world.store.positionOf('u1', 'broker_1', 'AAPL')!
    const [placement] = world.store.orderOf('u1', 't1')!.placements
    const order = {
      ...world.store.orderOf('u1', 't1')!,
      id: 't2',
      placements: [{ ...placement!, cumulativeQuantity: dec('5') }],
    }
    const writes = [
      { kind: 'order', order },
      {
        kind: 'position',
        connectionId: 'broker_1',
        symbol: 'AAPL',
        position: { ...position, quantity: dec('5') },
      },
    ] as const
    const open = {
      expectVersion: world.store.versionOf('u1'),
      fence: { kind: 'version' },
      events: [],
    } as const
    void rogueIn(world).store.commit('u1', { ...open, writes })
    await expect(world.settle()).rejects.toThrow(
      'S13 AAPL becomes 5 from 100 with an order that executed 5',
    )
  })
})
