import { expect, test } from 'vitest'
import { closeAllSchema, closeAllTradeId, closePositionSchema } from '#contract'
import { openWorld, type World } from './world.ts'

const of = { userId: 'u1', connectionId: 'broker_1' }
const tradeOf = (symbol: string): string => closeAllTradeId('broker_1', 'c1', symbol)

/** Positions of 100 AAPL and 10 MSFT; their fills were sent. */
async function holding(): Promise<World> {
  const world = await openWorld({ seed: 7 })
  world.submit()
  world.submit({ tradeId: 't2', symbol: 'MSFT', quantity: '10' })
  await world.settle()
  world.fill('t1', '180')
  world.fill('t2', '400')
  await world.settle()
  return world
}

function closeAll(world: World, job = 'close-all'): void {
  world.queue.add(
    'commands',
    'closeAllPositions',
    closeAllSchema.parse({ ...of, commandId: 'c1' }),
    job,
  )
}

test('close all - one trade for each position, and a repeat closes nothing twice', async () => {
  const world = await holding()
  closeAll(world)
  closeAll(world, 'the same again')
  await world.until(() => world.broker.submissions.length === 4, 10_000)
  for (const symbol of ['AAPL', 'MSFT']) world.fill(tradeOf(symbol), '200')
  await world.quiesce()
  expect(world.broker.submissions).toHaveLength(4)
  for (const symbol of ['AAPL', 'MSFT'])
    expect(world.told(tradeOf(symbol))).toEqual(['trade.submitted', 'trade.filled'])
  expect(world.broker.ledger.books.positions.size).toBe(0)
})

test('RDQ-06 close all runs again late - positions opened since stay open', async () => {
  const world = await holding()
  closeAll(world)
  await world.until(() => world.broker.submissions.length === 4, 10_000)
  for (const symbol of ['AAPL', 'MSFT']) world.fill(tradeOf(symbol), '200')
  await world.advance(20_000)
  for (const [tradeId, symbol] of [
    ['t3', 'AAPL'],
    ['t4', 'TSLA'],
  ] as const) {
    world.submit({ tradeId, symbol, quantity: '5' })
    await world.settle()
    world.fill(tradeId, '200')
  }
  await world.settle()
  world.queue.redeliver('close-all')
  await world.quiesce()
  expect(world.broker.submissions).toHaveLength(6)
})

test('close all, a fill not yet booked - waits for the booking, then closes it', async () => {
  const world = await holding()
  world.broker.isMute = true
  world.submit({ tradeId: 't3', symbol: 'TSLA', quantity: '5' })
  await world.settle()
  world.fill('t3', '200')
  closeAll(world)
  await world.until(() => world.broker.submissions.length === 6, 30_000)
  expect(
    world.broker.submissions
      .map(({ intent }) => intent.symbol)
      .slice(3)
      .sort(),
  ).toEqual(['AAPL', 'MSFT', 'TSLA'])
})

test('close all, a symbol we do not trade - it stays, the others are closed', async () => {
  const world = await openWorld({ seed: 7 })
  for (const symbol of ['AAPL', 'AAPL240119C00100000']) {
    const { brokerOrderId } = world.broker.placeElsewhere(symbol, '10')
    world.broker.fill(brokerOrderId, '180')
  }
  await world.advance(60_000)
  closeAll(world)
  await world.advance(10_000)
  expect(world.broker.submissions.map(({ intent }) => intent.symbol)).toEqual(['AAPL'])
  expect(world.warnings.join('')).toContain('close_all.skipped')
})

test('a close outside regular hours - one limit order for extended hours', async () => {
  const world = await holding()
  world.broker.isOpen = false
  const price = { limitPrice: '178.5', extendedHours: true }
  const command = closePositionSchema.parse({
    ...of,
    tradeId: 'x1',
    commandId: 'c1',
    symbol: 'AAPL',
    ...price,
  })
  world.queue.add('commands', 'closePosition', command, 'close-x1')
  await world.until(() => world.broker.submissions.length === 3, 10_000)
  expect(world.broker.submissions.at(-1)?.intent).toMatchObject({
    side: 'sell',
    quantity: '100',
    orderType: 'limit',
    limitPrice: '178.5',
    timeInForce: 'day',
    extendedHours: true,
  })
  world.fill('x1', '178.5')
  await world.quiesce()
  expect(world.told('x1')).toEqual(['trade.submitted', 'trade.filled'])
})
