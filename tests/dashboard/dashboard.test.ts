import { Queue, Worker } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queues } from '#contract'
import { readConfig } from '#runtime'
import type { Dashboard } from '../../src/apps/dashboard/server.ts'
import { dashboardSettings } from '../../src/apps/dashboard/settings.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { PASSWORD, startedDashboard } from './started.ts'

const SECRET = 'h7Kq2mZ9xW4vB1nC6pL8sD3fG5jT0rYa'

let redis: TestRedis
let dashboard: Dashboard
let orders: Queue
let url: string
let failedId: string
type LogLine = { msg: string; user?: string; allow?: boolean }
const logged: LogLine[] = []

beforeAll(async () => {
  redis = await startRedis()
  const write = (line: string): void => void logged.push(JSON.parse(line) as LogLine)
  dashboard = await startedDashboard(redis, pino({ level: 'info' }, { write }))
  url = `http://127.0.0.1:${dashboard.port}`
  const { name, prefix } = queues.orders
  orders = new Queue(name, { connection: redis.connect(), prefix })
  failedId = await addFailedJob()
})
afterAll(async () => {
  await orders.close()
  await dashboard[Symbol.asyncDispose]()
  await redis.stop()
})

/** A job put in by hand, with a secret wherever one can be. */
async function addFailedJob(): Promise<string> {
  const job = await orders.add(
    'submitOrder',
    { userId: 'u1', symbol: 'AAPL', apiSecret: SECRET },
    { jobId: 'by-hand' },
  )
  await job.log(`key ${SECRET}`)
  const { name, prefix } = queues.orders
  const worker = new Worker(
    name,
    async (taken) => {
      await taken.updateProgress({ note: SECRET })
      throw new Error(`401 with ${SECRET}`)
    },
    { connection: redis.connect(), prefix },
  )
  await new Promise((resolve) => worker.once('failed', resolve))
  await worker.close()
  return 'by-hand'
}

type Login = Readonly<{
  status: number
  cookie: string
  location: string | null
  setCookie: string
}>
async function logIn(name: string, password: string, next = '/'): Promise<Login> {
  const body = new URLSearchParams({ name, password, next })
  const response = await fetch(`${url}/login`, { method: 'POST', body, redirect: 'manual' })
  const setCookie = response.headers.get('set-cookie') ?? ''
  return {
    status: response.status,
    cookie: setCookie.split(';')[0] ?? '',
    location: response.headers.get('location'),
    setCookie,
  }
}
const ask = (path: string, cookie = '', init: RequestInit = {}): Promise<Response> =>
  fetch(url + path, { redirect: 'manual', ...init, headers: { cookie, ...init.headers } })

describe('without a login', () => {
  test.each([
    ['GET', '/'],
    ['GET', '/queues'],
    ['GET', '/queues/'],
    ['GET', '/queues/queue/orders'],
    ['GET', '/queues/api/queues'],
    ['GET', '/queues/api/queues/orders/by-hand'],
    ['GET', '/queues/api/queues/orders/by-hand/logs'],
    ['GET', '/queues/static/images/logo.svg'],
    ['GET', '/queues/static/../api/queues'],
    ['GET', '//queues/api/queues'],
    ['GET', '/login/../queues/api/queues'],
    ['GET', '/logout'],
    ['HEAD', '/queues/api/queues'],
    ['OPTIONS', '/queues/api/queues'],
    ['PUT', '/queues/api/queues/pause'],
    ['POST', '/queues/api/queues/orders/add'],
    ['GET', '/nothing-here'],
  ])('%s %s is refused', async (method, path) => {
    const response = await ask(path, 'fillcast_dashboard=x.y.z', { method })
    expect(response.status).toBe(401)
    if (method !== 'HEAD') expect(await response.json()).toMatchObject({ error: 'UNAUTHENTICATED' })
  })

  test('a browser is sent to the login, then back to the page that it asked for', async () => {
    const page = await ask('/queues/queue/orders?status=failed', '', {
      headers: { accept: 'text/html' },
    })
    expect(page.status).toBe(303)
    expect(page.headers.get('location')).toBe(
      '/login?next=%2Fqueues%2Fqueue%2Forders%3Fstatus%3Dfailed',
    )
    const { status, location } = await logIn('ann', PASSWORD, '/queues/queue/orders?status=failed')
    expect([status, location]).toEqual([303, '/queues/queue/orders?status=failed'])
  })

  test.each([
    '//evil.example',
    '/\\evil.example',
    'https://evil.example/x',
    'javascript:alert(1)',
    '/..//evil.example',
    '/.//evil.example',
    '/x/../..//evil.example/y',
    '/\\..\\/evil.example',
    '/\t/evil.example',
  ])('the login never redirects to %s', async (next) =>
    expect((await logIn('ann', PASSWORD, next)).location).toBe('/'),
  )

  test('the login page shows its input as text', async () => {
    const page = await (await ask('/login?next=/%22%3E%3Cscript%3E')).text()
    expect(page).not.toContain('"><script>')
  })
})

describe('the login', () => {
  test('a wrong password and an unknown name get the same answer and no cookie', async () => {
    const wrong = await logIn('ben', 'correct horse batterz')
    const nobody = await logIn('zoe', PASSWORD)
    expect(wrong).toMatchObject({ status: 401, setCookie: '' })
    expect(nobody).toEqual(wrong)
  })

  test('the cookie cannot be read by scripts or sent from other sites', async () => {
    expect((await logIn('ann', PASSWORD)).setCookie).toMatch(/HttpOnly.*SameSite=Strict/)
  })

  test('a form on another site is refused', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' }
    expect((await ask('/login', '', { method: 'POST', headers })).status).toBe(403)
  })

  test.each([
    ['another host', { origin: 'http://evil.example' }],
    ['another port of this host', { origin: 'http://127.0.0.1:1' }],
    ['a page without an origin', { origin: 'null' }],
    [
      'another site, as an old browser says',
      { origin: 'http://evil.example', 'sec-fetch-site': 'none' },
    ],
  ])('a write from %s is refused, with a login or without', async (_what, headers) => {
    const { cookie } = await logIn('ann', PASSWORD)
    const body = new URLSearchParams({ name: 'ann', password: PASSWORD })
    expect((await ask('/login', '', { method: 'POST', headers, body })).status).toBe(403)
    for (const path of ['/quarantine/accept-store', '/queues/api/queues/orders/pause'])
      expect(
        (await ask(path, cookie, { method: path.startsWith('/queues') ? 'PUT' : 'POST', headers }))
          .status,
      ).toBe(403)
    expect(await orders.isPaused()).toBe(false)
    expect((await ask('/logout', cookie, { headers })).status).toBe(403)
    expect((await ask('/queues/', cookie)).status).toBe(200)
  })

  test('a page of the dashboard may write, over plain HTTP and behind a proxy with TLS', async () => {
    const body = new URLSearchParams({ name: 'ann', password: PASSWORD })
    const { host } = new URL(url)
    for (const origin of [url, `https://${host}`])
      expect((await ask('/login', '', { method: 'POST', headers: { origin }, body })).status).toBe(
        303,
      )
  })

  test('a body that is too large or no form is answered 413 or 400', async () => {
    const post = async (
      body: string,
      type = 'application/x-www-form-urlencoded',
    ): Promise<number> =>
      (await ask('/login', '', { method: 'POST', body, headers: { 'content-type': type } })).status
    expect(await post(`name=${'x'.repeat(20_000)}`)).toBe(413)
    expect(await post('--no boundary', 'multipart/form-data')).toBe(400)
    expect(await post('--x\r\nbroken', 'multipart/form-data; boundary=x')).toBe(400)
    expect(await post('{"name":', 'application/json')).toBe(400)
    const { cookie } = await logIn('ann', PASSWORD)
    const large = { method: 'PUT', body: JSON.stringify({ data: 'x'.repeat(20_000) }) }
    expect((await ask('/queues/api/queues/orders/pause', cookie, large)).status).toBe(413)
    expect(await orders.isPaused()).toBe(false)
  })

  test('guessing a password is slowed down', async () => {
    const answers: number[] = []
    for (let tries = 0; tries < 7; tries += 1)
      answers.push((await logIn('mallory', 'guess')).status)
    expect(answers.slice(-2)).toEqual([429, 429])
    expect((await logIn('ann', PASSWORD)).status).toBe(303)
  })
})

describe('logged in', () => {
  test('the board has every queue of the contract', async () => {
    const { cookie } = await logIn('ben', PASSWORD)
    const answer = (await (await ask('/queues/api/queues', cookie)).json()) as {
      queues: { name: string }[]
    }
    expect(answer.queues.map(({ name }) => name).sort()).toEqual(
      Object.values(queues)
        .map((queue) => queue.name)
        .sort(),
    )
  })

  test('a job shows no secret: data, progress, error, stack trace and log are redacted', async () => {
    for (const name of ['ann', 'ben']) {
      const { cookie } = await logIn(name, PASSWORD)
      for (const path of [
        '/queues/api/queues?activeQueue=orders&status=failed',
        `/queues/api/queues/orders/${failedId}`,
        `/queues/api/queues/orders/${failedId}/logs`,
      ]) {
        const response = await ask(path, cookie)
        const text = await response.text()
        expect(response.status).toBe(200)
        expect(text).toContain('[redacted]')
        expect(text).not.toContain(SECRET)
      }
    }
  })

  const act = (who: 'ann' | 'ben', path: string, form: Record<string, string>): Promise<number> =>
    logIn(who, PASSWORD).then(
      async ({ cookie }) =>
        (await ask(path, cookie, { method: 'POST', body: new URLSearchParams(form) })).status,
    )

  test('an operator pauses and resumes orders, and retries a failed job', async () => {
    expect(await act('ann', '/controls/pause', { queue: 'orders' })).toBe(303)
    expect(await orders.isPaused()).toBe(true)
    const { cookie } = await logIn('ben', PASSWORD)
    const page = await (await ask('/controls', cookie)).text()
    expect(page).toContain('paused')
    expect(page).toContain(failedId)
    expect(page).not.toContain(SECRET)
    expect(await act('ann', '/controls/retry', { queue: 'orders', job: failedId })).toBe(303)
    expect(await orders.getFailedCount()).toBe(0)
    expect(await act('ann', '/controls/retry', { queue: 'orders', job: failedId })).toBe(409)
    expect(await act('ann', '/controls/retry', { queue: 'orders', job: 'nobody' })).toBe(400)
    expect(await act('ann', '/controls/resume', { queue: 'orders' })).toBe(303)
    expect(await orders.isPaused()).toBe(false)
  })

  test('only the queue of new orders can be paused, and only by an operator', async () => {
    for (const queue of ['commands', 'connections', 'nothing'])
      expect(await act('ann', '/controls/pause', { queue }), queue).toBeGreaterThanOrEqual(400)
    expect(await act('ann', '/controls/pause', {})).toBe(400)
    const { name, prefix } = queues.commands
    const commands = new Queue(name, { connection: redis.connect(), prefix })
    expect(await commands.isPaused()).toBe(false)
    await commands.pause() // by other means
    expect(await act('ann', '/controls/resume', { queue: 'commands' })).toBe(303)
    expect(await commands.isPaused()).toBe(false)
    await commands.close()
  })

  test('a viewer sees no button, and cannot act', async () => {
    const { cookie } = await logIn('ben', PASSWORD)
    const page = await (await ask('/controls', cookie)).text()
    expect(page).not.toContain('<button')
    for (const [path, form] of [
      ['/controls/pause', { queue: 'orders' }],
      ['/controls/resume', { queue: 'orders' }],
      ['/controls/retry', { queue: 'orders', job: failedId }],
    ] as const)
      expect(await act('ben', path, form), path).toBe(403)
    expect(await orders.isPaused()).toBe(false)
  })

  test('Bull Board shows no button that acts; the log names the user who tries', async () => {
    for (const name of ['ann', 'ben']) {
      const { cookie } = await logIn(name, PASSWORD)
      const { queues: shown } = (await (await ask('/queues/api/queues', cookie)).json()) as {
        queues: { readOnlyMode: boolean; allowRetries: boolean }[]
      }
      expect(shown.map(({ readOnlyMode, allowRetries }) => [readOnlyMode, allowRetries])).toEqual(
        shown.map(() => [true, false]),
      )
      const headers = { 'x-dashboard-user': 'somebody else' }
      expect(
        (await ask('/queues/api/queues/orders/pause', cookie, { method: 'PUT', headers })).status,
      ).toBe(403)
      expect(logged.findLast(({ msg }) => msg === 'dashboard.action')).toMatchObject({
        user: name,
        allow: false,
      })
    }
    await act('ann', '/controls/resume', { queue: 'orders' })
    expect(logged.findLast(({ msg }) => msg === 'dashboard.action')).toMatchObject({
      user: 'ann',
      allow: true,
    })
  })

  test.each([
    ['POST', 'queues/orders/add', { name: 'submitOrder', data: {}, options: {} }],
    ['PATCH', 'queues/orders/by-hand/update-data', { jobData: {} }],
    ['PUT', 'queues/pause', {}],
    ['PUT', 'queues/orders/pause', {}],
    ['PUT', 'queues/orders/retry/failed', {}],
    ['PUT', 'queues/orders/by-hand/retry', {}],
    ['PUT', 'queues/orders/by-hand/clean', {}],
    ['PUT', 'queues/orders/clean/completed', {}],
    ['PUT', 'queues/orders/retry/completed', {}],
    ['PUT', 'queues/orders/empty', {}],
    ['PUT', 'queues/orders/obliterate', {}],
  ])('an operator, too, may not %s %s', async (method, path, body) => {
    const { cookie } = await logIn('ann', PASSWORD)
    const headers = { 'content-type': 'application/json' }
    const response = await ask(`/queues/api/${path}`, cookie, {
      method,
      headers,
      body: JSON.stringify(body),
    })
    expect(response.status).toBe(403)
    expect(await orders.getJob('by-hand')).toBeDefined()
  })

  test('pages load nothing from other hosts and are not cached', async () => {
    const { cookie } = await logIn('ann', PASSWORD)
    const page = await ask('/queues/', cookie)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toMatch(
      /default-src 'none'.*font-src 'self'/,
    )
    expect(page.headers.get('cache-control')).toBe('no-store')
    expect((await ask('/queues/static/images/logo.svg', cookie)).status).toBe(200)
  })

  test('a logout removes the cookie, and a copy of the cookie opens nothing', async () => {
    const { cookie } = await logIn('ann', PASSWORD)
    expect((await ask('/logout', cookie)).headers.get('set-cookie')).toMatch(/Max-Age=0/)
    expect((await ask('/queues/api/queues', cookie)).status).toBe(401)
  })
})

test('the probes are open, on a port of their own', async () => {
  const ready = await fetch(`http://127.0.0.1:${dashboard.probePort}/readyz`)
  expect([ready.status, await ready.text()]).toEqual([200, 'ready\n'])
  expect((await fetch(`http://127.0.0.1:${dashboard.probePort}/queues/api/queues`)).status).toBe(
    404,
  )
})

test('a bad entry of DASHBOARD_USERS stops the start and is not echoed', () => {
  expect(() =>
    readConfig(dashboardSettings, { REDIS_URL: redis.url, DASHBOARD_USERS: `ann:admin:${SECRET}` }),
  ).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining(SECRET) as string }) as Error,
  )
})
