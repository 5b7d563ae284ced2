import { describe, expect, test } from 'vitest'
import { openWorld, type World } from './world.ts'

// The worlds of these scenarios have no activity stream at all: activities are read from the
// lists.

type Missed = Readonly<{ happen: (world: World) => void; told: string; held: string }>

const missed: Readonly<Record<string, Missed>> = {
  'an execution of an order placed elsewhere': {
    happen: ({ broker }) => {
      const { brokerOrderId } = broker.placeElsewhere('AAPL', '5')
      broker.fill(brokerOrderId, '190')
    },
    told: 'TRADE_EXECUTED',
    held: '105',
  },
  'an execution taken back': {
    happen: (world) => world.broker.bust(world.clientOrderId('t1')),
    told: 'TRADE_EXECUTED',
    held: '60',
  },
  'a deposit': {
    happen: ({ broker }) => broker.deposit('1000'),
    told: 'FUNDS_DEPOSITED',
    held: '100',
  },
  'a fee': {
    happen: ({ broker }) => broker.moveCash('cash', 'FEE', '-1.5'),
    told: 'EXTERNAL_SYNC',
    held: '100',
  },
}
/** A refresh runs every minute; a difference that no list explains is booked once it has lasted. */
const SEEN_WITHIN_MS = 110_000

const lastBalance = (world: World): unknown =>
  world.store
    .log('u1')
    .flatMap(({ event, payload }) => (event === 'portfolio.balanceChanged' ? [payload] : []))
    .at(-1)

/** 100 AAPL, bought in two executions, and nothing new since the account was last read. */
async function holding(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit()
  await world.settle()
  world.fill('t1', '180', '60')
  world.fill('t1', '181', '40')
  await world.advance(70_000)
  return world
}

describe('activities while no activity stream is open - found without a stored position', () => {
  test.each(Object.entries(missed))(
    '%s, while no worker runs',
    async (_what, { happen, told, held }) => {
      const world = await holding(71)
      world.workers[0]!.kill()
      happen(world)
      await world.advance(10_000)
      world.startWorker()
      await world.advance(SEEN_WITHIN_MS)
      await expectSeen(world, told, held)
    },
  )

  test.each(Object.entries(missed))(
    '%s, between the first reading of a new owner and its mute stream',
    async (_what, { happen, told, held }) => {
      const world = await holding(72)
      world.restart(world.workers[0]!)
      await world.advance(10_000)
      world.broker.isMute = true
      happen(world)
      world.broker.isMute = false
      await world.advance(SEEN_WITHIN_MS)
      await expectSeen(world, told, held)
    },
  )
})

async function expectSeen(world: World, reason: string, held: string): Promise<void> {
  expect(lastBalance(world)).toMatchObject({ reason })
  const { positions } = await world.store.loadConnection('u1', 'broker_1')
  expect(positions.get('AAPL')?.quantity).toBe(held)
  await world.quiesce()
}
