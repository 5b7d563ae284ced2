import { describe, expect, test } from 'vitest'
import { ANY_STEP, openWorld, type World } from './world.ts'
import { Chance } from './world/chance.ts'

async function submitted(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit()
  await world.settle()
  return world
}

const heldOf = async (world: World): Promise<string> => {
  const { positions } = await world.store.loadConnection('u1', 'broker_1')
  return positions.get('AAPL')?.quantity ?? '0'
}

describe('more executed than ordered', () => {
  test.each(['1', '100'])(
    'FIL-11 %s too many - booked, sent, and an alarm is raised',
    async (extra) => {
      const world = await submitted(1)
      world.fill('t1', '180.5', '60')
      await world.settle()
      world.fill('t1', '181', String(40 + Number(extra)))
      await world.quiesce()
      expect(await heldOf(world)).toBe(String(100 + Number(extra)))
      expect(world.anomalies()).toContain('overfilled')
      expect(world.told('t1').slice(0, 3)).toEqual([
        'trade.submitted',
        'trade.partialFill',
        'trade.filled',
      ])
    },
  )

  test('FIL-11 an execution after the end - booked and sent as a correction', async () => {
    const world = await submitted(2)
    world.fill('t1', '180.5')
    await world.settle()
    world.fill('t1', '181', '7')
    await world.quiesce()
    expect(await heldOf(world)).toBe('107')
    expect(world.anomalies()).toContain('overfilled')
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled', 'trade.corrected'])
  })
})

describe('executions that are taken back', () => {
  const moments = ['before the end', 'after the end', 'after a restart'] as const
  const kinds = ['bust', 'correct'] as const
  const cases = moments.flatMap((moment) => kinds.map((kind) => [kind, moment] as const))

  test.each(cases)(
    'FIL-12 %s of the first of two executions, %s - corrected',
    async (kind, moment) => {
      const world = await submitted(3)
      const amend = (): void => {
        if (kind === 'bust') world.broker.bust(world.clientOrderId('t1'), 0)
        else world.broker.correct(world.clientOrderId('t1'), { quantity: '30', price: '179' }, 0)
      }
      world.fill('t1', '180', '40')
      await world.settle()
      if (moment === 'before the end') amend()
      await world.settle()
      world.fill('t1', '181', '60')
      await world.settle()
      if (moment === 'after a restart') world.restart(world.workers[0]!)
      await world.advance(moment === 'after a restart' ? 20_000 : 0)
      if (moment !== 'before the end') amend()
      await world.quiesce()
      expect(await heldOf(world)).toBe(kind === 'bust' ? '60' : '90')
      const told = world.told('t1')
      expect(told.filter((event) => event === 'trade.corrected').length).toBeGreaterThan(0)
      expect(told.filter((event) => event === 'trade.filled').length).toBeLessThanOrEqual(1)
      const [last] = world.entries('t1', 'trade.corrected').slice(-1)
      // 60 x 181, plus 30 x 179; before the end, a later execution is sent as a fill
      const [quantity, average] = kind === 'bust' ? [60, 181] : [90, 180.333333333]
      if (moment !== 'before the end')
        expect(last).toMatchObject({ filledQuantity: quantity, averageFillPrice: average })
      else expect(world.told('t1')).not.toContain('trade.filled') // part of the order is open again
    },
  )

  test.each(kinds)('FIL-12 %s of an execution of an archived order - corrected', async (kind) => {
    const world = await submitted(3)
    world.fill('t1', '180', '40')
    world.fill('t1', '181', '60')
    await world.advance(1_000)
    const order = world.store.orderOf('u1', 't1')!
    const expectVersion = world.store.versionOf('u1')
    const writes = [{ kind: 'archive', order }] as const
    await world.store.commit('u1', {
      expectVersion,
      fence: { kind: 'version' },
      writes,
      events: [],
    })
    if (kind === 'bust') world.broker.bust(world.clientOrderId('t1'), 0)
    else world.broker.correct(world.clientOrderId('t1'), { quantity: '30', price: '179' }, 0)
    await world.quiesce()
    expect(await heldOf(world)).toBe(kind === 'bust' ? '60' : '90')
    expect(world.told('t1').slice(-2)).toEqual(['trade.filled', 'trade.corrected'])
  })

  test.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'FIL-12 executions taken back at random with a crash, seed %s - books agree',
    async (seed) => {
      const chance = new Chance(seed)
      const world = await submitted(seed)
      world.broker.listsBusts = chance.below(2) === 0
      world.fill('t1', '180', '40')
      world.fill('t1', '181', '35')
      world.fill('t1', '182', '25')
      world.crashAt(ANY_STEP, chance.below(20), chance.below(5_000))
      world.broker.bust(world.clientOrderId('t1'), chance.below(3))
      await world.advance(chance.below(30_000))
      world.broker.correct(
        world.clientOrderId('t1'),
        { quantity: '20', price: '179.5' },
        chance.below(2),
      )
      await world.quiesce()
      expect(Number(await heldOf(world))).toBe(
        Number(world.broker.ledger.books.positions.get('AAPL')?.quantity ?? 0),
      )
      // An execution that was busted before any event reported it needs no correction.
      expect(world.told('t1').at(-1)).toMatch(/^trade\.(corrected|cancelled)$/)
    },
  )

  const unheard = ['the first', 'the last', 'all', 'the price of one', 'the size of one'] as const
  test.each(unheard.flatMap((what) => ['open', 'ended'].map((state) => [what, state] as const)))(
    'FIL-12 %s taken back of an %s order, unreported - the broker total is sent',
    async (what, state) => {
      const world = await submitted(5)
      const id = world.clientOrderId('t1')
      world.fill('t1', '180', '40')
      world.fill('t1', '181.2', '35')
      if (state === 'ended') world.fill('t1', '182', '25')
      await world.settle()
      world.broker.isMute = true
      if (what === 'the first' || what === 'all') world.broker.bust(id, 0)
      if (what === 'the last') world.broker.bust(id)
      while (what === 'all' && world.broker.executions.length > 0) world.broker.bust(id)
      if (what === 'the price of one')
        world.broker.correct(id, { quantity: '35', price: '179.5' }, 1)
      if (what === 'the size of one')
        world.broker.correct(id, { quantity: '31', price: '181.2' }, 1)
      world.broker.isMute = false
      await world.quiesce()
      const books = world.broker.ledger.books
      expect(await heldOf(world)).toBe(books.positions.get('AAPL')?.quantity ?? '0')
      expect(world.told('t1').slice(-1)).toEqual(['trade.corrected'])
      expect(world.told('t1').filter((event) => event === 'trade.corrected')).toHaveLength(1)
      const { filledQuantity } = world.broker.ledger.order(id)
      expect(world.entries('t1', 'trade.corrected')).toMatchObject([
        { filledQuantity: Number(filledQuantity) },
      ])
      // Later executions are booked as usual.
      if (state === 'ended') return
      world.fill('t1', '183', '5')
      await world.settle()
      expect(world.told('t1').at(-1)).toBe('trade.partialFill')
      await world.quiesce()
    },
  )

  test('FIL-12 unreported bust of an ended order still listed - its total is adopted', async () => {
    const world = await submitted(5)
    world.submit({ tradeId: 't2', symbol: 'MSFT' })
    world.fill('t1', '180')
    await world.settle()
    world.broker.isMute = true
    world.broker.bust(world.clientOrderId('t1'))
    world.broker.isMute = false
    await world.advance(150_000)
    expect(world.told('t1').at(-1)).toBe('trade.corrected')
    expect(await heldOf(world)).toBe('0')
  })
})
