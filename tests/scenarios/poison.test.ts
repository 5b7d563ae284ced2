import { describe, expect, test } from 'vitest'
import { resolveJobId, submitJobId } from '#contract'
import { boundaryNames } from '#runtime'
import { LOSSES_MAX } from '../../workers/orders/resolve-job.ts'
import { openWorld, type World } from './world.ts'

// CRA-08: work on one trade kills its worker every time it reaches the same step.

const SUBMIT = submitJobId('u1', 't1')
const RESOLVE = resolveJobId('u1', 't1')
const steps = (of: string) => boundaryNames.filter((name) => name.startsWith(of))
/** Deaths of a job that the queue itself gives up; its own bound, one of BullMQ's. */
const DEATHS_OF_SUBMISSION = 11
const HOUR_MS = 3_600_000

/** Long enough for every death: a lost lock is found after 15 s. */
async function untilItIsOver(world: World): Promise<number> {
  await world.advance(HOUR_MS / 4)
  const { deaths } = world
  await world.advance(HOUR_MS / 4)
  expect(world.deaths).toBe(deaths) // no further job runs for it
  return deaths
}
const sentOf = (world: World): number =>
  world.broker.submissions.filter(
    ({ clientOrderId }) => clientOrderId === world.clientOrderId('t1'),
  ).length

describe('CRA-08 a poison job', () => {
  test.each(steps('submit.').flatMap((step) => [1, 2, 3].map((seed) => [step, seed] as const)))(
    'CRA-08 each worker dies at %s (seed %i) - bounded, alarmed, other trades go on',
    async (step, seed) => {
      const world = await openWorld({ seed, workers: 2 })
      world.poison(step, [SUBMIT, RESOLVE])
      world.submit()
      await world.advance(1_000)
      world.submit({ tradeId: 't2', symbol: 'MSFT' })
      await world.advance(60_000)
      expect(world.told('t2')).toContain('trade.submitted')
      const deaths = await untilItIsOver(world)
      expect(deaths).toBeGreaterThan(0)
      expect(deaths).toBeLessThanOrEqual(DEATHS_OF_SUBMISSION + LOSSES_MAX + 1)
      expect(
        [...world.broker.orders.values()].filter(({ symbol }) => symbol === 'AAPL').length,
      ).toBeLessThanOrEqual(1)
      const order = await world.order('t1')
      if (sentOf(world) > 0) expect(order).not.toBeNull() // it may be at the broker
      if (order?.status === 'submitting') {
        expect(order.setAsideAt).toBeTypeOf('string')
        expect(order.unknownSince).toBeTypeOf('string')
        expect(world.anomalies()).toContain('set_aside')
        expect(world.warnings.join()).toContain('order.set_aside')
      }
      // The owner of the account finds an order at the broker without this job.
      if (world.broker.orders.size === 2) expect(world.told('t1')).toContain('trade.submitted')
    },
  )

  test.each(steps('resolve.'))(
    'CRA-08 the resolver dies at %s - quarantined as unknown, not sent again',
    async (step) => {
      const world = await openWorld({ seed: 4, workers: 2 })
      world.broker.fail('submit', { kind: 'lose_request' }, { times: Infinity })
      world.poison(step, [SUBMIT, RESOLVE])
      world.submit({ orderType: 'limit', limitPrice: '180' })
      await untilItIsOver(world)
      const sent = sentOf(world)
      const order = await world.order('t1')
      expect(order).toMatchObject({
        status: 'submitting',
        setAsideAt: expect.any(String) as string,
        endedAt: null,
      })
      expect(world.told('t1')).toEqual([])
      // Neither the job again nor the one of the resolver touches it.
      world.queue.forget(SUBMIT)
      world.submit({ orderType: 'limit', limitPrice: '180' })
      await world.advance(HOUR_MS)
      expect(sentOf(world)).toBe(sent)
      expect(await world.order('t1')).toEqual(order)
    },
  )

  test('CRA-08 a cancel of a quarantined order - taken up again, ends as canceled', async () => {
    const world = await openWorld({ seed: 5, workers: 2 })
    world.broker.fail('submit', { kind: 'lose_request' }, { times: Infinity })
    world.poison('resolve.dequeued', [SUBMIT, RESOLVE])
    world.submit()
    await untilItIsOver(world)
    const order = await world.order('t1')
    expect(order).toMatchObject({ status: 'submitting', setAsideAt: expect.any(String) as string })
    const about = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1', symbol: 'AAPL' }
    expect(await world.quarantine.list()).toEqual({
      orders: [{ ...about, at: order?.setAsideAt, due: 'submission' }],
      total: 1,
    })
    const sent = sentOf(world)
    world.poison('resolve.dequeued', [])
    world.cancel()
    await world.quiesce()
    expect(await world.order('t1')).toMatchObject({ status: 'canceled', setAsideAt: null })
    expect(world.told('t1')).toEqual(['trade.cancelled'])
    expect(sentOf(world)).toBe(sent)
    await world.advance(HOUR_MS / 4)
    expect((await world.quarantine.list()).total).toBe(0)
  })
})
