import { describe, expect, test } from 'vitest'
import { dec, mul, SETTLE_MS, sub, toNumber } from '#domain'
import { openWorld, type World } from './world.ts'

type Told = Readonly<{ event: string; payload: Record<string, unknown> }>

const ref = { userId: 'u1', connectionId: 'broker_1' }
const told = (world: World, prefix = 'portfolio.'): Told[] =>
  world.store
    .log('u1')
    .filter(({ event }) => event.startsWith(prefix))
    .map(({ event, payload }) => ({ event, payload: payload }))
const names = (world: World): string[] =>
  told(world).map(({ event }) => event.replace('portfolio.', ''))
const balances = (world: World): string[] =>
  told(world, 'portfolio.balanceChanged').map(
    ({ payload }) => `${String(payload['reason'])} ${String(payload['change'])}`,
  )
const positionOf = async (world: World, symbol: string) =>
  (await world.store.loadConnection(ref.userId, ref.connectionId)).positions.get(symbol) ?? null

test('POS-01 executions not all read yet - cash and positions are not in doubt', async () => {
  const world = await openWorld({ seed: 49 })
  const { broker } = world
  broker.isMute = true
  broker.listOrders = () => Promise.resolve([]) // the lists lag for long
  for (let n = 0; n < 12; n += 1)
    broker.fill(broker.placeElsewhere(`S${n}`, '5').brokerOrderId, '100')
  const doubts = new Set<string>()
  for (let seconds = 0; seconds < 120; seconds += 1) {
    await world.advance(1_000)
    const { account } = await world.store.loadConnection(ref.userId, ref.connectionId)
    for (const doubt of Object.keys(account?.doubts ?? {})) doubts.add(doubt)
  }
  expect([...doubts]).toEqual([])
  expect(names(world).filter((name) => name === 'positionAdded')).toHaveLength(12)
})

describe('POS-01 a snapshot that lags behind the executions', () => {
  test.each([0, 1_000, 5_000, 12_000])(
    'POS-01 lag of %i ms - no position event is reverted',
    async (lagMs) => {
      const world = await openWorld({ seed: lagMs })
      world.broker.portfolioLagMs = lagMs
      for (let n = 0; n < 6; n += 1) {
        world.submit({ tradeId: `t${n}`, side: n % 3 === 2 ? 'sell' : 'buy', quantity: '10' })
        await world.settle()
        world.fill(`t${n}`, String(180 + n))
        await world.advance(4_000)
      }
      await world.quiesce()
      // 10, 20, 10, 20, 30, 20: one event for each execution and none besides.
      expect(names(world).filter((name) => name.startsWith('position'))).toHaveLength(6)
      expect((await positionOf(world, 'AAPL'))?.quantity).toBe('20')
    },
  )
})

describe('POS-02 a read that failed', () => {
  test.each(['readPortfolio', 'listOrders', 'listActivities', 'listExecutions'] as const)(
    'POS-02 %s fails - the positions stay as they are',
    async (call) => {
      const world = await openWorld({ seed: 2 })
      world.submit()
      await world.settle()
      world.fill('t1', '180')
      await world.settle()
      const before = names(world)
      const mend = world.broker.fail(call, { kind: 'error_before' }, { times: Infinity })
      await world.advance(120_000)
      expect(names(world)).toEqual(before)
      mend()
      await world.quiesce()
      expect((await positionOf(world, 'AAPL'))?.quantity).toBe('100')
    },
  )
})

test('POS-03 an old snapshot never overwrites a later execution', async () => {
  const world = await openWorld({ seed: 3 })
  for (const [n, fillAfterMs] of [10, 1_500, 2_900].entries()) {
    world.submit({ tradeId: `t${n}`, quantity: '10' })
    await world.settle()
    const mend = world.broker.fail(
      'readPortfolio',
      { kind: 'delay_reply', ms: 3_000 },
      { times: Infinity },
    )
    await world.until(() => world.broker.calls.at(-1)?.on === 'readPortfolio', 120_000, 'a reading')
    await world.advance(fillAfterMs)
    world.fill(`t${n}`, '180')
    await world.advance(30_000)
    mend()
  }
  await world.quiesce()
  expect(names(world).filter((name) => name.startsWith('position'))).toEqual([
    'positionAdded',
    'positionUpdated',
    'positionUpdated',
  ])
  expect((await positionOf(world, 'AAPL'))?.quantity).toBe('30')
})

describe('POS-04 orders placed outside', () => {
  test('POS-04 live and while disconnected - positions change, no trade event is sent', async () => {
    const world = await openWorld({ seed: 4 })
    world.submit({ tradeId: 't1', quantity: '5' })
    await world.settle()
    world.fill('t1', '180')
    const live = world.broker.placeElsewhere('AAPL', '10')
    world.broker.fill(live.brokerOrderId, '181')
    await world.settle()
    expect((await positionOf(world, 'AAPL'))?.quantity).toBe('15')
    world.broker.streams.cut('cut')
    const missed = world.broker.placeElsewhere('MSFT', '3', 'sell')
    world.broker.fill(missed.brokerOrderId, '400')
    await world.quiesce()
    expect((await positionOf(world, 'MSFT'))?.quantity).toBe('-3')
    expect(told(world, 'trade.').map(({ event }) => event)).toEqual([
      'trade.submitted',
      'trade.filled',
    ])
  })

  test('POS-04 executed before the connection - part of the initial position', async () => {
    const world = await openWorld({ seed: 5, isAdopted: false })
    const early = world.broker.placeElsewhere('AAPL', '10')
    world.broker.fill(early.brokerOrderId, '180', '6')
    await world.advance(5_000)
    world.broker.fill(early.brokerOrderId, '182')
    await world.quiesce()
    expect(await positionOf(world, 'AAPL')).toMatchObject({ quantity: '10' })
    expect(told(world, 'trade.')).toEqual([])
  })
})

describe('POS-05 an execution that crosses zero', () => {
  const grid = [-30, -10, 0, 10, 30].flatMap((start) =>
    [-40, -30, -5, 5, 30, 40].map((change) => [start, change] as const),
  )

  test.each(grid)(
    'POS-05 from %i by %i - closed before the other side opens, once',
    async (start, change) => {
      const world = await openWorld({ seed: 6 })
      world.broker.streams.repeat(2)
      for (const [signed, price] of [
        [start, '100'],
        [change, '110'],
      ] as const) {
        if (signed === 0) continue
        const elsewhere = world.broker.placeElsewhere(
          'AAPL',
          String(Math.abs(signed)),
          signed > 0 ? 'buy' : 'sell',
        )
        world.broker.fill(elsewhere.brokerOrderId, price)
        await world.settle()
      }
      await world.quiesce()
      const after = start + change
      const isFlip = start !== 0 && Math.sign(after) === -Math.sign(start)
      const first = start === 0 ? [] : ['positionAdded']
      const second =
        start === 0
          ? ['positionAdded']
          : after === 0
            ? ['positionClosed']
            : isFlip
              ? ['positionClosed', 'positionAdded']
              : ['positionUpdated']
      expect(names(world).filter((name) => name !== 'balanceChanged')).toEqual([
        ...first,
        ...second,
      ])
      const held = await positionOf(world, 'AAPL')
      expect(held === null ? 0 : toNumber(held.quantity)).toBe(after)
      if (isFlip || after === 0) {
        // Bought at 100 and sold at 110, or the other way round, for what was closed.
        const closed = told(world, 'portfolio.positionClosed')[0]?.payload
        expect(closed).toMatchObject({ quantity: Math.abs(start), realizedPnL: start * 10 })
      }
    },
  )
})

describe('POS-08 corporate actions', () => {
  test.each([
    ['a forward split', '10', '1000'],
    ['a reverse split', '0.1', '10'],
  ])(
    'POS-08 %s with a resting order - another quantity at the same cost',
    async (_what, ratio, after) => {
      const world = await openWorld({ seed: 8 })
      world.submit()
      await world.settle()
      world.fill('t1', '180')
      world.submit({
        tradeId: 't2',
        side: 'sell',
        quantity: '10',
        orderType: 'limit',
        limitPrice: '500',
        timeInForce: 'gtc',
      })
      await world.settle()
      const before = names(world)
      world.broker.split('AAPL', ratio)
      await world.quiesce()
      expect(names(world).slice(before.length)).toEqual(['positionUpdated'])
      expect(await positionOf(world, 'AAPL')).toMatchObject({ quantity: after, cost: '18000' })
      expect(world.told('t2')).toEqual(['trade.submitted'])
      expect(world.anomalies()).not.toContain('unexplained_drift')
    },
  )

  test('POS-08 a symbol change - closed at cost and opened under the new name', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.settle()
    world.fill('t1', '180')
    await world.settle()
    world.broker.changeSymbol('AAPL', 'APPL')
    await world.quiesce()
    expect(names(world).slice(-2)).toEqual(['positionClosed', 'positionAdded'])
    expect(told(world, 'portfolio.positionClosed')[0]?.payload).toMatchObject({ realizedPnL: 0 })
    expect(await positionOf(world, 'APPL')).toMatchObject({ quantity: '100', cost: '18000' })
  })
})

describe('a refresh reads the records of its connection', () => {
  const loads = (world: World): number => world.steps.get('store.loadConnection') ?? 0

  test('once, if no change is found', async () => {
    const world = await openWorld({ seed: 11 })
    world.submit({ quantity: '1' })
    await world.settle()
    world.fill('t1', '180')
    await world.advance(70_000)
    const before = loads(world)
    await world.advance(60_000)
    expect(loads(world)).toBe(before + 1)
  })

  test('again after it has booked an execution, so it compares the new positions', async () => {
    const world = await openWorld({ seed: 12 })
    await world.advance(70_000)
    world.broker.isMute = true
    const { brokerOrderId } = world.broker.placeElsewhere('AAPL', '5')
    world.broker.fill(brokerOrderId, '190')
    const before = loads(world)
    await world.until(() => balances(world).length > 0, 65_000)
    expect(balances(world)).toEqual(['TRADE_EXECUTED -950'])
    expect(loads(world)).toBe(before + 2)
    await world.quiesce()
    expect(balances(world)).toEqual(['TRADE_EXECUTED -950'])
  })
})

describe('POS-09 cash moves without trades', () => {
  test('POS-09 each cash movement is one event with its cause, also beside trades', async () => {
    const world = await openWorld({ seed: 10 })
    world.submit({ quantity: '1' })
    await world.settle()
    world.fill('t1', '180')
    world.broker.deposit('1000')
    await world.advance(70_000)
    world.broker.withdraw('250')
    world.broker.moveCash('cash', 'FEE', '-1.5')
    world.broker.moveCash('cash', 'DIV', '12.25', 'AAPL')
    await world.quiesce()
    expect(balances(world)).toEqual([
      'TRADE_EXECUTED -180',
      'FUNDS_DEPOSITED 1000',
      'FUNDS_WITHDRAWN -250',
      'EXTERNAL_SYNC -1.5',
      'EXTERNAL_SYNC 12.25',
    ])
  })
})

test('POS-10 a fee taken in kind - position net of the fee, a round trip ends flat', async () => {
  const world = await openWorld({ seed: 12 })
  const crypto = { symbol: 'BTC/USD', timeInForce: 'gtc' } as const
  world.submit({ ...crypto, tradeId: 't1', quantity: '0.1' })
  await world.settle()
  world.broker.fill([...world.broker.orders.values()][0]!.brokerOrderId, '50000', undefined, {
    fee: '0.00025',
  })
  await world.advance(90_000)
  expect((await positionOf(world, 'BTC/USD'))?.quantity).toBe(sub(dec('0.1'), dec('0.00025')))
  expect((await world.order('t1'))?.cumulativeQuantity).toBe('0.1')
  world.submit({ ...crypto, tradeId: 't2', side: 'sell', quantity: '0.09975' })
  await world.settle()
  world.fill('t2', '51000')
  await world.quiesce()
  expect(await positionOf(world, 'BTC/USD')).toBeNull()
  expect(mul(dec('0.09975'), dec('51000'))).toBe('5087.25')
})

test('POS-11 the owner freezes during a repair - the difference is repaired once', async () => {
  const world = await openWorld({ seed: 13, workers: 2 })
  world.broker.isMute = true
  const ghost = world.broker.placeElsewhere('MSFT', '10')
  world.broker.fill(ghost.brokerOrderId, '400')
  world.broker.executions.length = 0
  world.broker.visibleAfterMs = 3_600_000 // and no list shows the order
  await world.advance(SETTLE_MS)
  world.freezeAt('reconcile.portfolio_read', 30_000)
  await world.advance(120_000)
  await world.advance(120_000)
  const added = told(world, 'portfolio.positionAdded').filter(({ payload }) =>
    JSON.stringify(payload).includes('MSFT'),
  )
  expect(added).toHaveLength(1)
  expect(balances(world)).toEqual(['EXTERNAL_SYNC -4000'])
})
