import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, test, type TestContext, vi } from 'vitest'
import { io } from 'socket.io-client'
import { queues } from '#contract'
import { createProducer, UnavailableError } from '#producer'
import { systemClock, systemRandomness } from '#runtime'
import { createStore } from '#store'
import { readRelayConfig } from '../../relay/config.ts'
import { startRelay } from '../../relay/server.ts'
import { startWorkers } from '../../workers/compose.ts'
import { readWorkerConfig } from '../../workers/config.ts'
import { orderOf } from '../e2e/stage.ts'
import { PASSWORD, startedDashboard } from '../dashboard/started.ts'
import { notice, SECRET, signed } from '../relay/harness.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { RedisLine } from '../support/redis-line.ts'

// P8: every link of a process goes silent at once, without closing, as behind a firewall that
// forgot them. Connections that are made afterwards get through. The timings are those of
// production.

/** From the moment of silence until the process does its work again. */
const REPLACED_MS_MAX = 15_000
/** A command may take 5 s; the rest is for a busy machine. */
const CALL_MS_MAX = 10_000
const log = pino({ level: 'silent' })

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

type Finishing = Pick<TestContext, 'onTestFinished'>

async function openLine({ onTestFinished }: Finishing, port = redis.port): Promise<RedisLine> {
  const line = await RedisLine.to(port)
  onTestFinished(() => line[Symbol.asyncDispose]())
  return line
}

/** Silences every link. @returns the time since then */
function silenced(line: RedisLine): () => number {
  const atMs = performance.now()
  line.silence()
  return () => performance.now() - atMs
}

const readyz = async (probePort: number): Promise<number> =>
  (await fetch(`http://127.0.0.1:${probePort}/readyz`)).status

/** `/readyz` fails while the links are silent, and passes again once they are replaced. */
async function expectTold(probePort: number): Promise<void> {
  const until = (status: number): Promise<void> =>
    vi.waitFor(
      async () => {
        if ((await readyz(probePort)) !== status)
          throw new Error(`/readyz did not answer ${status} in time`)
      },
      { timeout: REPLACED_MS_MAX, interval: 20 },
    )
  await until(503)
  await until(200)
}

describe.concurrent('P8 every Redis link of a process goes silent', { timeout: 60_000 }, () => {
  test('P8 relay - not ready, and within 15 s old and new clients get every event', async ({
    expect,
    onTestFinished,
  }) => {
    const line = await openLine({ onTestFinished })
    const config = readRelayConfig({
      REDIS_URL: line.url,
      LISTEN_HOST: '127.0.0.1',
      RELAY_PORT: '0',
      JWT_HS256_SECRET: SECRET,
    })
    const relay = await startRelay(config, { clock: systemClock, random: systemRandomness, log })
    onTestFinished(() => relay[Symbol.asyncDispose]())
    const open = async (): Promise<string[]> => {
      const heard: string[] = []
      const token = await signed({ sub: 'silent-user' })
      const socket = io(relay.url, { forceNew: true, auth: { token, lastEventId: '' } })
      onTestFinished(() => void socket.disconnect())
      socket.on('connection.authorized', () => heard.push('authorized'))
      socket.on('broker.connected', (payload: { brokerConnectionId: string }) =>
        heard.push(payload.brokerConnectionId),
      )
      return heard
    }
    const store = createStore(redis.connect())
    const tell = async (n: number): Promise<unknown> =>
      store.commit('silent-user', {
        expectVersion: await store.version('silent-user'),
        fence: { kind: 'version' },
        writes: [],
        events: [notice(n)],
      })
    const old = await open()
    await expect.poll(() => old, { timeout: REPLACED_MS_MAX }).toEqual(['authorized'])
    await tell(1)
    await expect.poll(() => old).toEqual(['authorized', 'b1'])
    const silentMs = silenced(line)
    await tell(2)
    await expectTold(relay.probes.port)
    await expect.poll(() => old, { timeout: REPLACED_MS_MAX }).toEqual(['authorized', 'b1', 'b2'])
    const young = await open()
    await expect.poll(() => young, { timeout: REPLACED_MS_MAX }).toEqual(['authorized'])
    await tell(3)
    await expect
      .poll(() => [old.at(-1), young.at(-1)], { timeout: REPLACED_MS_MAX })
      .toEqual(['b3', 'b3'])
    expect(silentMs()).toBeLessThan(REPLACED_MS_MAX)
  })

  test.for([
    ['no job waits', null] as const,
    ['the next job is due in an hour', 3_600_000] as const,
  ])(
    'P8 workers, %s - not ready, and within 15 s they run jobs again',
    async ([, delay], { expect, onTestFinished }) => {
      const own = await startRedis()
      onTestFinished(() => own.stop())
      const line = await openLine({ onTestFinished }, own.port)
      const { name, prefix } = queues.orders
      const queue = new Queue(name, { connection: own.connect(), prefix })
      onTestFinished(() => queue.close())
      if (delay !== null) await queue.add('later', {}, { delay })
      const config = readWorkerConfig({
        REDIS_URL: line.url,
        LISTEN_HOST: '127.0.0.1',
        WORKER_ROLES: 'orders',
        VAULT_KEYS: `t:${Buffer.alloc(32, 7).toString('base64')}`,
        ALPACA_ENV: 'sandbox',
        ALPACA_SANDBOX_URL: 'http://127.0.0.1:1',
      })
      const worker = await startWorkers(config, log)
      onTestFinished(() => worker[Symbol.asyncDispose]())
      const isBroken = vi.fn()
      void worker.broken?.then(isBroken)
      // Not a job of this queue: whoever takes it refuses it at once.
      const taken = async (): Promise<string> => {
        const job = await queue.add('unheard', {})
        await expect
          .poll(() => job.getState(), { timeout: REPLACED_MS_MAX, interval: 20 })
          .toBe('failed')
        return 'taken'
      }
      await taken()
      // Until both queues are waited for at Redis.
      const waits = async (): Promise<string> => await own.connect().info('clients')
      await expect.poll(waits, { timeout: REPLACED_MS_MAX }).toMatch(/blocked_clients:2\b/)
      const silentMs = silenced(line)
      const told = expectTold(worker.probes.port)
      expect(await taken()).toBe('taken')
      expect(silentMs()).toBeLessThan(REPLACED_MS_MAX)
      await told
      expect(silentMs()).toBeLessThan(REPLACED_MS_MAX)
      expect(isBroken).not.toHaveBeenCalled()
    },
  )

  test('P8 producer - calls fail within their deadline, orders are queued within 15 s', async ({
    expect,
    onTestFinished,
  }) => {
    const line = await openLine({ onTestFinished })
    const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]
    const producer = await createProducer({ redisUrl: line.url, vaultKeys, log })
    onTestFinished(() => producer[Symbol.asyncDispose]())
    const trade = { userId: 'alice', connectionId: 'broker_1', tradeId: 't1' }
    const ref = { userId: 'alice', connectionId: 'broker_1' }
    const credentials = { keyId: 'K', secretKey: 'S3CRET' }
    const said = { by: 'ann', reason: 'a test' }
    const calls: Record<string, () => Promise<unknown>> = {
      submitOrder: () => producer.submitOrder(orderOf({ tradeId: 'silent' })),
      cancelOrder: () => producer.cancelOrder({ ...trade, commandId: 'c1' }),
      cancelAll: () => producer.cancelAll({ ...ref, commandId: 'c2' }),
      replaceOrder: () => producer.replaceOrder({ ...trade, commandId: 'c3', limitPrice: '1' }),
      closePosition: () => producer.closePosition({ ...trade, commandId: 'c4', symbol: 'AAPL' }),
      connect: () => producer.connections.connect({ ...ref, env: 'sandbox', credentials }),
      list: () => producer.connections.list('alice'),
      disconnect: () => producer.connections.disconnect({ ...ref, openOrders: 'leave' }),
      logout: () => producer.sessions.logout({ userId: 'alice' }),
      get: () => producer.orders.get('alice', 't1'),
      'limits.set': () => producer.limits.set({ userId: 'alice' }, null),
      'limits.get': () => producer.limits.get({ userId: 'alice' }),
      halt: () => producer.halt({ userId: 'alice', ...said, waitMs: 0 }),
      resume: () => producer.resume({ userId: 'alice' }),
      halts: () => producer.halts({ userId: 'alice' }),
      acceptStore: () => producer.acceptStore(said),
    }
    const silentMs = silenced(line)
    const answers = Object.entries(calls).map(async ([name, call]): Promise<[string, unknown]> => {
      const error = await call().then(
        () => 'answered',
        (reason: unknown) => reason,
      )
      return [name, silentMs() < CALL_MS_MAX ? error : 'late']
    })
    for (const [name, answer] of await Promise.all(answers))
      expect([name, answer === 'answered' || answer instanceof UnavailableError]).toEqual([
        name,
        true,
      ])
    const submit = (): Promise<string> =>
      producer.submitOrder(orderOf({ tradeId: 'silent' })).then(
        () => 'queued',
        () => 'not yet',
      )
    await expect.poll(submit, { timeout: REPLACED_MS_MAX }).toBe('queued')
    expect(silentMs()).toBeLessThan(REPLACED_MS_MAX)
  })

  test('P8 producer, all links stay silent - creating it fails within 11 s', async ({
    expect,
    onTestFinished,
  }) => {
    const line = await openLine({ onTestFinished })
    line.newcomers = 'silent'
    const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]
    const atMs = performance.now()
    await expect(createProducer({ redisUrl: line.url, vaultKeys, log })).rejects.toThrow(
      /did not answer within/,
    )
    expect(performance.now() - atMs).toBeLessThan(11_000)
    // Longer than the pause before an attempt: whoever still tries is connected by then.
    line.newcomers = 'pass'
    await systemClock.sleep(2_500)
    expect(line.open).toBe(0)
  })

  test('P8 dashboard - not ready, and within 15 s its pages load again', async ({
    expect,
    onTestFinished,
  }) => {
    const line = await openLine({ onTestFinished })
    const dashboard = await startedDashboard(line, log)
    onTestFinished(() => dashboard[Symbol.asyncDispose]())
    const site = `http://127.0.0.1:${dashboard.port}`
    const body = new URLSearchParams({ name: 'ann', password: PASSWORD })
    const cookie =
      (await fetch(`${site}/login`, { method: 'POST', body, redirect: 'manual' })).headers.get(
        'set-cookie',
      ) ?? ''
    const silentMs = silenced(line)
    await expectTold(dashboard.probePort)
    const page = await fetch(`${site}/quarantine`, { headers: { cookie } })
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('Quarantine')])
    expect(silentMs()).toBeLessThan(REPLACED_MS_MAX)
  })
})
