import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { closePositionSchema } from '#contract'
import { boundaryNames } from '#runtime'
import { openWorld, type World } from './world.ts'

const stepsOf = (path: string) => boundaryNames.filter((name) => name.startsWith(`${path}.`))
const of = { userId: 'u1', connectionId: 'broker_1' }

function close(world: World, over: object = {}, tradeId = 'x1'): string {
  const command = closePositionSchema.parse({
    ...of,
    tradeId,
    commandId: `close-${tradeId}`,
    symbol: 'AAPL',
    ...over,
  })
  world.queue.add('commands', 'closePosition', command, `close-${tradeId}`)
  return `close-${tradeId}`
}

/** A position of 100 AAPL; its fill was sent. */
async function holding(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit()
  await world.settle()
  world.fill('t1', '180')
  await world.settle()
  return world
}

describe('POS-06 the broker does not cross zero', () => {
  test('POS-06 long 100, a sell of 150 - refused before it is sent, with advice', async () => {
    const world = await holding(6)
    world.submit({ tradeId: 't2', side: 'sell', quantity: '150' })
    await world.quiesce()
    expect(world.broker.submissions).toHaveLength(1)
    expect(world.store.log('u1').at(-1)).toMatchObject({
      event: 'trade.rejected',
      payload: {
        tradeId: 't2',
        code: 'CROSSES_ZERO',
        message: expect.stringContaining('Close it first') as string,
      },
    })
  })
})

describe('POS-07 size of a close - the available quantity', () => {
  test('POS-07 a resting order reserves part of the position - the rest is closed', async () => {
    const world = await holding(7)
    world.submit({
      tradeId: 't2',
      side: 'sell',
      quantity: '30',
      orderType: 'limit',
      limitPrice: '200',
    })
    await world.settle()
    close(world)
    await world.until(() => world.broker.submissions.length === 3, 5_000)
    expect(world.broker.submissions.at(-1)?.intent).toMatchObject({
      side: 'sell',
      quantity: '70',
      orderType: 'market',
    })
    world.fill('x1', '181')
    await world.quiesce()
    expect(world.told('x1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  // As binary numbers, the two closes come to more than the position.
  test('POS-07 two closes with nine decimals - together exactly the position', async () => {
    const world = await openWorld({ seed: 7 })
    world.submit({ quantity: '40.617371019' })
    await world.settle()
    world.fill('t1', '180')
    await world.settle()
    close(world, { quantity: '10' })
    await world.until(() => world.broker.submissions.length === 2, 5_000)
    close(world, {}, 'x2')
    await world.until(() => world.broker.submissions.length === 3, 5_000)
    expect(world.broker.submissions.slice(1).map(({ intent }) => intent.quantity)).toEqual([
      '10',
      '30.617371019',
    ])
    world.fill('x1', '181')
    world.fill('x2', '181')
    await world.quiesce()
  })

  test.each([
    ['nothing is held', {}, 'There is no position in MSFT', { symbol: 'MSFT' }],
    ['less than one share', {}, 'comes to less than one share', { percentage: '0.5' }],
  ] as const)('POS-07 %s - rejected with the reason', async (_what, _none, why, over) => {
    const world = await holding(7)
    close(world, over)
    await world.quiesce()
    expect(world.store.log('u1').at(-1)).toMatchObject({
      payload: { code: 'NOTHING_TO_CLOSE', message: expect.stringContaining(why) as string },
    })
  })

  test.each([1, 2])(
    'POS-07 quantity refused %i times - sized again once, then rejected',
    async (times) => {
      const world = await holding(7)
      for (let count = 0; count < times; count += 1)
        world.at('submit.sending', () => {
          // The user sells in the app of the broker between the reading and the request.
          const other = world.broker.placeElsewhere('AAPL', '20', 'sell')
          world.broker.fill(other.brokerOrderId, '180')
        })
      const job = close(world)
      await world.advance(10_000)
      expect(world.broker.submissions).toHaveLength(3)
      if (times === 1) world.fill('x1', '181')
      await world.quiesce()
      expect(world.told('x1')).toEqual(
        times === 1 ? ['trade.submitted', 'trade.filled'] : ['trade.rejected'],
      )
      expect(world.queue.stateOf(job)).toBe('completed')
    },
  )

  test.each([
    ['80', 'There is no position in AAPL'],
    ['130', 'The position in AAPL is short, and a long one was to be closed'],
  ])(
    'POS-07 quantity refused, and %s more sold before the new size - not sent',
    async (sold, why) => {
      const world = await holding(7)
      const sell = (quantity: string): void =>
        void world.broker.fill(
          world.broker.placeElsewhere('AAPL', quantity, 'sell').brokerOrderId,
          '180',
        )
      world.at('submit.sending', () => sell('20'))
      world.at('resolve.dequeued', () => sell(sold))
      close(world)
      await world.advance(10_000)
      await world.quiesce()
      expect(world.broker.submissions).toHaveLength(2)
      expect(world.told('x1')).toEqual(['trade.rejected'])
      expect(world.entries('x1', 'trade.rejected')).toMatchObject([
        { code: 'NOTHING_TO_CLOSE', message: why },
      ])
    },
  )

  test('POS-07 one run finds no position, another sends the close - not rejected', async () => {
    // The seed gives the second run to the other worker.
    const world = await holding(4)
    world.startWorker()
    const trade = (side: 'buy' | 'sell', quantity: string): void =>
      void world.broker.fill(
        world.broker.placeElsewhere('AAPL', quantity, side).brokerOrderId,
        '180',
      )
    const job = close(world)
    world.at('submit.sending', () => trade('sell', '20'))
    world.at('resolve.dequeued', () => trade('sell', '80'))
    world.at('resolve.looked_up', (process) => {
      process.freeze()
      trade('buy', '50')
      world.broker.fail('submit', { kind: 'delay_reply', ms: 3_000 })
      world.queue.redeliver(job)
    })
    await world.until(() => world.broker.submissions.length === 3, 10_000)
    for (const worker of world.workers) worker.thaw()
    await world.advance(10_000)
    world.fill('x1', '181')
    await world.quiesce()
    expect(world.told('x1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test.each([...stepsOf('close'), ...stepsOf('submit')])(
    'POS-07 a crash at %s - closed once',
    async (step) => {
      const world = await holding(7)
      world.crashAt(step)
      close(world)
      await world.advance(40_000)
      expect(world.broker.orders.size).toBe(2)
      world.fill('x1', '181')
      await world.quiesce()
      expect(world.told('x1')).toEqual(['trade.submitted', 'trade.filled'])
    },
  )
})

describe('POS-07 a pending cancel frees the quantity that a close needs', () => {
  async function promised(): Promise<World> {
    const world = await holding(8)
    world.submit({ tradeId: 't2', side: 'sell', orderType: 'limit', limitPrice: '200' })
    await world.settle()
    return world
  }

  test.each([
    ['cancel first', 0],
    ['close first', 500],
  ])(
    'POS-07 cancel and close at once, %s - the close waits for the cancel',
    async (_what, lateMs) => {
      const world = await promised()
      world.broker.holdsCancels = true
      if (lateMs === 0) world.cancel('t2')
      close(world)
      await world.advance(lateMs)
      if (lateMs > 0) world.cancel('t2')
      await world.advance(5_000)
      expect(world.told('x1')).toEqual([])
      world.broker.settleCancel(world.clientOrderId('t2'))
      await world.advance(5_000)
      world.fill('x1', '181')
      await world.quiesce()
      expect(world.told('x1')).toEqual(['trade.submitted', 'trade.filled'])
      expect(world.store.positionOf('u1', 'broker_1', 'AAPL')).toBeNull()
    },
  )

  test('POS-07 a cancel that never completes - the close is rejected within 45 s', async () => {
    const world = await promised()
    world.broker.holdsCancels = true
    world.cancel('t2')
    close(world)
    await world.advance(45_000)
    expect(world.entries('x1', 'trade.rejected')).toMatchObject([{ code: 'NOTHING_TO_CLOSE' }])
  })

  test('POS-07 the position is reserved and no cancel is pending - rejected within 5 s', async () => {
    const world = await promised()
    close(world)
    await world.advance(5_000)
    expect(world.entries('x1', 'trade.rejected')).toMatchObject([{ code: 'NOTHING_TO_CLOSE' }])
  })
})

describe('a close that names the side of the position', () => {
  /** 100 AAPL short. */
  async function short(seed: number): Promise<World> {
    const world = await openWorld({ seed })
    world.submit({ side: 'sell' })
    await world.settle()
    world.fill('t1', '180')
    await world.settle()
    return world
  }

  test('the position is on the named side - closed, at most its quantity', async () => {
    const world = await short(8)
    close(world, { positionSide: 'short', quantity: '150' })
    await world.until(() => world.broker.submissions.length === 2, 5_000)
    expect(world.broker.submissions.at(-1)?.intent).toMatchObject({ side: 'buy', quantity: '100' })
    world.fill('x1', '179')
    await world.quiesce()
    expect(world.told('x1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test.each([
    ['short', holding, 'The position in AAPL is long, and a short one was to be closed', 'buy'],
    ['long', short, 'The position in AAPL is short, and a long one was to be closed', 'sell'],
  ] as const)(
    'a %s position is named, but it is on the other side - rejected',
    async (positionSide, held, message, side) => {
      const world = await held(8)
      close(world, { positionSide })
      await world.quiesce()
      expect(world.broker.submissions).toHaveLength(1)
      const [told] = world.entries('x1', 'trade.rejected')
      expect(told).toMatchObject({ code: 'NOTHING_TO_CLOSE', message })
      expect((await world.order('x1'))?.side).toBe(side)
    },
  )

  test('a close with a side is another command; without a side the hash is unchanged', async () => {
    const world = await holding(8)
    close(world)
    await world.settle()
    const known = hash('sha256', JSON.stringify(['close', 'AAPL', null, null])).slice(0, 32)
    expect((await world.order('x1'))?.parametersHash).toBe(known)
    const command = {
      ...of,
      tradeId: 'x1',
      commandId: 'again',
      symbol: 'AAPL',
      positionSide: 'long',
    }
    world.queue.add('commands', 'closePosition', closePositionSchema.parse(command), 'again')
    await world.settle()
    expect(world.queue.whyOf('again')).toContain('already used with other parameters')
  })
})
