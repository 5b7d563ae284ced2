import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobs, type JobName, queues } from '#contract'
import { dec } from '#domain'
import { createJobQueue } from '../../workers/queue/enqueue.ts'
import { createFollowUps } from '../../workers/queue/follow-up-jobs.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const ref = { userId: 'u1', connectionId: 'broker_1' }

test('the same request twice is one readable job, in another queue than new orders', async () => {
  await using asker = createJobQueue(redis.connect(), pino({ level: 'silent' }))
  const followUps = createFollowUps(asker)
  const excess = { symbol: 'AAPL', quantity: dec('100'), positionSide: 'short' } as const
  for (let times = 0; times < 2; times += 1) {
    await followUps.cancel(ref, 't1', 'leftover')
    await followUps.flatten(ref, 't1', excess)
  }
  const { name, prefix } = queues.commands
  const queued = await new Queue(name, { connection: redis.connect(), prefix }).getWaiting()
  expect(queued.map((job) => job.name).sort()).toEqual(['cancelOrder', 'closePosition'])
  for (const job of queued)
    expect(jobs[job.name as JobName].schema.parse(job.data)).toEqual(job.data)
  const [close] = queued.filter((job) => job.name === 'closePosition')
  expect(close?.data).toMatchObject({ ...ref, tradeId: 'flatten-t1', ...excess })
})
