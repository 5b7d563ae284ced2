import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hashPassword } from '../../src/apps/dashboard/passwords.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

/** A module that throws outside of every promise on a signal. */
const PLANTED = `data:text/javascript,process.on('SIGUSR2',()=>{throw new Error('planted')})`

/** Runs a process until it is ready, plants a fault in it, and returns its output and exit code. */
async function faultIn(
  entry: string,
  ready: string,
  env: Record<string, string>,
  args: readonly string[],
) {
  const child = spawn(process.execPath, ['--import', PLANTED, entry, ...args], {
    cwd: new URL('../..', import.meta.url),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    timeout: 80_000,
  })
  const { stdout: out, stderr: err } = child
  if (out === null || err === null) throw new Error(`${entry} cannot be started`)
  let isTold = false
  let seen = ''
  const tell = (data: Buffer): void => {
    seen += data.toString()
    if (isTold || !seen.includes(ready)) return
    isTold = true
    child.kill('SIGUSR2')
  }
  out.on('data', tell)
  err.on('data', tell)
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const [stdout, stderr] = await Promise.all([text(out), text(err)])
  return { code: await exited, stdout, stderr }
}

const SECRET = 'a secret of at least thirty-two bytes'

test.each<[string, string, string, () => Promise<Record<string, string>>, string[]]>([
  [
    'relay',
    'relay/main.ts',
    'relay.ready',
    async () => ({ RELAY_PORT: '0', JWT_HS256_SECRET: SECRET }),
    [],
  ],
  [
    ...(['workers', 'workers/main.ts', 'workers.ready'] as const),
    async () => ({
      VAULT_KEYS: `k:${randomBytes(32).toString('base64')}`,
      WORKER_ROLES: 'orders,streams,connections',
      ALPACA_ENV: 'sandbox',
      ALPACA_SANDBOX_URL: 'http://127.0.0.1:1',
    }),
    [],
  ],
  [
    ...(['dashboard', 'src/apps/dashboard/main.ts', 'dashboard.ready'] as const),
    async () => ({
      DASHBOARD_PORT: '0',
      DASHBOARD_USERS: `a:viewer:${await hashPassword('a password')}`,
    }),
    [],
  ],
  [
    'sandbox',
    'src/apps/sandbox/main.ts',
    'Alpaca-compatible sandbox',
    async () => ({}),
    ['--port', '0'],
  ],
])(
  'an uncaught exception in the process %s is logged, and the process drains',
  async (...row) => {
    const [, entry, ready, env, args] = row
    const own = { REDIS_URL: redis.url, LISTEN_HOST: '127.0.0.1', PROBE_PORT: '0' }
    const { code, stdout, stderr } = await faultIn(entry, ready, { ...own, ...(await env()) }, args)
    expect([code, stderr]).toEqual([1, ''])
    expect(stdout).toMatch(
      /"level":"fatal".*"message":"planted".*"msg":"process\.uncaught_exception"/,
    )
    expect(stdout).not.toContain('process.drain_')
  },
  90_000,
)

test('an uncaught exception in the demo is logged, and the demo drains', async () => {
  const { code, stderr } = await faultIn('src/apps/demo/main.ts', 'Ctrl-C ends everything', {}, [
    '--verbose',
  ])
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /demo \| .*"level":"fatal".*"message":"planted".*"msg":"process\.uncaught_exception"/,
  )
  expect(stderr).toMatch(/relay \| .*process\.stopped/)
}, 90_000)
