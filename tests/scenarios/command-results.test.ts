import { describe, expect, test } from 'vitest'
import { closePositionSchema, commandJobId, replaceOrderSchema } from '#contract'
import { commandsOf } from '#domain'
import { boundaryNames } from '#runtime'
import { openWorld, type World } from './world.ts'

const of = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1' }
const resting = { orderType: 'limit', limitPrice: '150' } as const

function replace(world: World, over: object): string {
  const command = replaceOrderSchema.parse({ ...of, commandId: 'r1', limitPrice: '151', ...over })
  const jobId = commandJobId('replaceOrder', 'u1', 't1', command.commandId)
  world.queue.add('commands', 'replaceOrder', command, jobId)
  return jobId
}

function close(world: World, over: object = {}): string {
  const command = closePositionSchema.parse({
    ...of,
    tradeId: 'close',
    commandId: 'x1',
    symbol: 'AAPL',
    ...over,
  })
  const jobId = commandJobId('closePosition', 'u1', command.tradeId, command.commandId)
  world.queue.add('commands', 'closePosition', command, jobId)
  return jobId
}

async function results(world: World, tradeId = 't1') {
  const order = await world.order(tradeId)
  return order === null ? null : commandsOf(order).map(({ at: _at, ...rest }) => rest)
}

async function open(order: object = resting): Promise<World> {
  const world = await openWorld({ seed: 8 })
  world.submit(order)
  await world.settle()
  return world
}

describe('every command has a result in the record of its trade', () => {
  test('a replacement refused by our own check - recorded as refused', async () => {
    const world = await open()
    const job = replace(world, { leg: 'stopLoss' })
    await world.settle()
    const message = 'leg: a simple order has no stopLoss'
    expect(await results(world)).toEqual([
      { commandId: 'r1', kind: 'replace', outcome: 'refused', message },
    ])
    expect([world.queue.stateOf(job), world.queue.whyOf(job)]).toEqual(['failed', message])
    world.queue.redeliver(job)
    await world.settle()
    expect(await results(world)).toHaveLength(1)
  })

  test('a replacement done, then its id with other terms - the second is refused', async () => {
    const world = await open()
    replace(world, {})
    await world.advance(10_000)
    const done = { commandId: 'r1', kind: 'replace', outcome: 'done', message: null }
    expect(await results(world)).toEqual([done])
    world.queue.forget(commandJobId('replaceOrder', 'u1', 't1', 'r1'))
    const job = replace(world, { limitPrice: '152' })
    await world.advance(10_000)
    expect(world.queue.whyOf(job)).toContain('use a new commandId')
    expect([await results(world), world.broker.orders.size]).toEqual([[done], 2])
  })

  test('three cancels: first, during the first, after the end - each has its result', async () => {
    const world = await open()
    world.broker.holdsCancels = true
    world.cancel('t1', 'c1')
    await world.settle()
    const of1 = { commandId: 'c1', kind: 'cancel', message: null }
    expect(await results(world)).toEqual([{ ...of1, outcome: 'pending' }])
    world.cancel('t1', 'c2')
    await world.settle()
    world.broker.settleCancel(world.clientOrderId('t1'))
    await world.settle()
    world.cancel('t1', 'c3')
    await world.settle()
    expect(await results(world)).toEqual([
      {
        commandId: 'c2',
        kind: 'cancel',
        outcome: 'overtaken',
        message: expect.stringContaining('by the command c1') as unknown,
      },
      {
        commandId: 'c3',
        kind: 'cancel',
        outcome: 'refused',
        message: 'The order has ended: it is canceled',
      },
      { ...of1, outcome: 'done' },
    ])
  })

  test('a cancel overtaken by the fill - recorded as overtaken', async () => {
    const world = await open()
    world.broker.holdsCancels = true
    world.cancel('t1', 'c1')
    await world.settle()
    world.fill('t1', '149')
    await world.settle()
    const message = 'The order has ended: it is filled'
    expect(await results(world)).toEqual([
      { commandId: 'c1', kind: 'cancel', outcome: 'overtaken', message },
    ])
  })

  test('a close: without a position, sent, under a used trade id - each has its result', async () => {
    const world = await open({})
    close(world)
    await world.settle()
    const of1 = { commandId: 'x1', kind: 'close' }
    expect(await results(world, 'close')).toEqual([
      { ...of1, outcome: 'refused', message: expect.stringContaining('no position') as unknown },
    ])
    world.fill('t1', '180')
    await world.settle()
    close(world, { tradeId: 'close-2', commandId: 'x2' })
    await world.settle()
    expect(await results(world, 'close-2')).toEqual([
      { commandId: 'x2', kind: 'close', outcome: 'done', message: null },
    ])
    const job = close(world, { tradeId: 't1', commandId: 'x3' })
    await world.settle()
    const message: unknown = expect.stringContaining('already used with other parameters')
    expect(await results(world)).toEqual([
      { commandId: 'x3', kind: 'close', outcome: 'refused', message },
    ])
    expect(world.queue.stateOf(job)).toBe('failed')
  })

  test('commands of an archived trade - refused at once, the trade stays archived', async () => {
    const world = await open({})
    world.fill('t1', '180')
    await world.settle()
    const order = world.store.orderOf('u1', 't1')!
    const expectVersion = world.store.versionOf('u1')
    const writes = [{ kind: 'archive', order }] as const
    await world.store.commit('u1', {
      expectVersion,
      fence: { kind: 'version' },
      events: [],
      writes,
    })
    const job = replace(world, {})
    world.cancel('t1', 'c1')
    await world.settle()
    const message = 'The order has ended, on an earlier trading day'
    const refused = [
      { commandId: 'c1', kind: 'cancel', outcome: 'refused', message },
      { commandId: 'r1', kind: 'replace', outcome: 'refused', message },
    ]
    expect(
      (await results(world))?.toSorted((a, b) => (a.commandId < b.commandId ? -1 : 1)),
    ).toEqual(refused)
    expect(world.queue.stateOf(job)).toBe('failed')
    expect([...world.store.recordsOf('u1').keys()].filter((name) => name.includes('t1'))).toEqual(
      [],
    )
  })

  test.each(boundaryNames.filter((name) => name.startsWith('submit.')))(
    'commands that race the claim of their trade, at %s - the trade stays open',
    async (step) => {
      for (let seed = 0; seed < 6; seed += 1) {
        const world = await openWorld({ seed })
        world.at(step, () => {
          replace(world, {})
          replace(world, { commandId: 'r2', leg: 'stopLoss' })
        })
        world.submit(resting)
        await world.advance(20_000)
        expect(await results(world)).toContainEqual({
          commandId: 'r1',
          kind: 'replace',
          outcome: 'done',
          message: null,
        })
        world.cancel()
        await world.quiesce()
        expect(world.told('t1')).toEqual(['trade.submitted', 'trade.replaced', 'trade.cancelled'])
      }
    },
  )

  test('a replacement after its connection was removed - recorded', async () => {
    const world = await open()
    await world.store.controls.remove({ userId: 'u1', connectionId: 'broker_1' })
    replace(world, {})
    await world.advance(60_000)
    expect(await results(world)).toMatchObject([{ commandId: 'r1', kind: 'replace' }])
  })

  test('more results than the limit - the oldest are dropped', async () => {
    const world = await open()
    for (let i = 0; i < 70; i += 1) {
      replace(world, { commandId: `r${i}`, leg: 'stopLoss' })
      await world.settle()
    }
    const all = (await results(world)) ?? []
    expect([all.length, all[0]?.commandId, all.at(-1)?.commandId]).toEqual([64, 'r6', 'r69'])
  })
})
