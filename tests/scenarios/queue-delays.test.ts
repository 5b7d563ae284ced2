import { Queue } from 'bullmq'
import { expect, test } from 'vitest'
import { queues } from '#contract'
import { createLogger, systemClock } from '#runtime'
import type { Handler } from '../../workers/queue/runner.ts'
import { QueueWorker } from '../../workers/queue/watchdog.ts'
import { startRedis } from '../support/redis.ts'

test(
  'a delayed job writes one log line for each change of its reason',
  { timeout: 30_000 },
  async () => {
    await using redis = await startRedis()
    const lines: string[] = []
    const log = createLogger('workers', 'info', { write: (line) => void lines.push(line) })
    const reasons = [
      'no keys',
      'no keys',
      'no keys',
      'no account',
      'no account',
      'no keys',
      'no keys',
    ]
    const repeats: unknown[] = []
    const handle: Handler = async (_name, _data, { isRepeat }) => {
      repeats.push(isRepeat)
      const why = reasons.shift()
      return why === undefined ? { kind: 'done' } : { kind: 'again', delayMs: 10, why }
    }
    const queueMetrics = { stuck: () => {}, rebuilt: () => {}, paused: () => {}, givenUp: () => {} }
    await using worker = new QueueWorker('orders', handle, {
      redis: redis.connect(),
      watch: redis.connect(),
      clock: systemClock,
      log,
      queueMetrics,
    })
    expect(worker.stuckBecause).toBeUndefined()
    await using queue = closing(
      new Queue(queues.orders.name, { connection: redis.connect(), ...queues.orders }),
    )
    await queue.add('submitOrder', {})
    await expect.poll(() => repeats, { timeout: 20_000 }).toHaveLength(8)
    const told = lines.flatMap((line) => /"why":"([^"]*)".*"job.delayed"/.exec(line)?.[1] ?? [])
    expect(told).toEqual(['no keys', 'no account', 'no keys'])
    expect(repeats).toEqual([false, ...Array<boolean>(7).fill(true)])
  },
)

const closing = (queue: Queue) =>
  Object.assign(queue, { [Symbol.asyncDispose]: () => queue.close() })
