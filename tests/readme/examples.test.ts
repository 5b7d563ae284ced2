import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queues } from '#contract'
import { createProducer } from '#producer'
import { startRedis, type TestRedis } from '../support/redis.ts'

const root = join(import.meta.dirname, '../..')
const key = Buffer.alloc(32, 7)

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(async () => {
  await redis.stop()
})

/** The programs of a page, as they are printed there. */
const programsOf = (page: string): string[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n([^]*?)^```$/gm)].map(
    ([, program = '']) => program,
  )

/** Runs a program from the root of the project, where `#producer` is its real module. */
async function run(program: string): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module-typescript', '--eval', program],
    {
      cwd: root,
      env: { REDIS_URL: redis.url, VAULT_KEYS: `k1:${key.toString('base64')}` },
      timeout: 25_000,
    },
  )
  return stdout
}

test('example of the producer - prints the results that its comments show', async () => {
  const [program = '', ...others] = programsOf('src/producer/README.md')
  expect(others).toEqual([])

  expect((await run(program)).trim().split('\n')).toEqual([
    'trade-1 false',
    'queued',
    '{ isComplete: true, waitingFor: 0 }',
  ])

  const vaultKeys = [{ kid: 'k1', key: new Uint8Array(key) }]
  await using producer = await createProducer({ redisUrl: redis.url, vaultKeys })
  expect(await producer.connections.list('alice')).toMatchObject([
    { connectionId: 'alice-paper', env: 'paper', standing: 'unverified' },
  ])
  expect(await producer.limits.get({ userId: 'alice' })).toMatchObject({
    orderNotionalMax: '25000',
    ordersPerMinuteMax: 30,
  })
  expect(await producer.halts({ userId: 'alice' })).toEqual([])
  const { name, prefix } = queues.orders
  const jobs = await new Queue(name, { connection: redis.connect(), prefix }).getWaiting()
  expect(jobs.map(({ data }) => data as unknown)).toMatchObject([
    { tradeId: 'trade-1', symbol: 'AAPL', quantity: '100', limitPrice: '185.5' },
  ])
})
