import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pino } from 'pino'
import { clientOrderIdOf } from '#domain'
import { systemClock } from '#runtime'
import {
  ASIDE_SHOWN_MAX,
  type QuarantinedOrder,
  createQuarantinedOrders,
  createStoreEpoch,
} from '#store'
import type { Dashboard } from '../../src/apps/dashboard/server.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { PASSWORD, startedDashboard } from './started.ts'

const ACCEPT = '/quarantine/accept-store'
const told = { reason: 'the disk was lost, all is connected again', confirmed: 'yes' }

let redis: TestRedis
let dashboard: Dashboard
let cookies: Record<'ann' | 'ben', string>
const lines: string[] = []

beforeAll(async () => {
  redis = await startRedis()
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  dashboard = await startedDashboard(redis, log)
  cookies = { ann: await logIn('ann'), ben: await logIn('ben') }
})
beforeEach(async () => {
  await redis.connect().del('aside', 'epoch') // and no more: the logins lie in the same Redis
  lines.length = 0
})
afterAll(async () => {
  await dashboard[Symbol.asyncDispose]()
  await redis.stop()
})

const ask = (path: string, cookie: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${dashboard.port}${path}`, {
    redirect: 'manual',
    ...init,
    headers: { cookie, ...init.headers },
  })
const page = async (who: 'ann' | 'ben', query = ''): Promise<string> =>
  (await ask(`/quarantine${query}`, cookies[who])).text()
const accept = (
  cookie: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
) => ask(ACCEPT, cookie, { method: 'POST', body: new URLSearchParams(form), headers })
const epoch = () => createStoreEpoch(redis.connect(), () => 'made here')

async function logIn(name: string): Promise<string> {
  const answer = await ask('/login', '', {
    method: 'POST',
    body: new URLSearchParams({ name, password: PASSWORD }),
  })
  return (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
}

const set: QuarantinedOrder = {
  userId: 'alice',
  connectionId: 'broker_alice',
  tradeId: 't1',
  symbol: 'AAPL',
  due: 'submission',
  at: '2024-03-15T14:00:00.000Z',
}
const aside = () => createQuarantinedOrders(redis.connect(), () => systemClock.now())

describe('quarantined orders', () => {
  test('are shown with user, time, reason, broker id, and the action to take', async () => {
    await aside().note([set, { ...set, tradeId: 't2', due: 'cancel' }])
    for (const who of ['ann', 'ben'] as const) {
      const text = await page(who)
      for (const part of [
        't1',
        't2',
        'alice',
        'broker_alice',
        'AAPL',
        '2024-03-15 14:00:00 UTC',
        'cancelOrder',
      ])
        expect(text).toContain(part)
      expect(text).toContain(clientOrderIdOf('alice', 't1'))
      expect(text).toContain('whether it is at the broker is not known')
      expect(text).toContain('it may still execute')
    }
  })

  test('of many orders, the oldest are shown with the total', async () => {
    const many = Array.from({ length: ASIDE_SHOWN_MAX + 20 }, (_, n) => ({
      ...set,
      tradeId: `t${n}`,
    }))
    await aside().note(many)
    const text = await page('ann')
    expect(text.match(/<tr>\s*<td>/g)).toHaveLength(ASIDE_SHOWN_MAX)
    expect(text).toContain(`the oldest ${ASIDE_SHOWN_MAX} of ${ASIDE_SHOWN_MAX + 20}`)
  })

  test('the page says so when there are none', async () =>
    expect(await page('ben')).toContain('<p>None.</p>'))

  test('their names are shown as text', async () => {
    await aside().note([{ ...set, symbol: '<script>alert(1)</script>' }])
    expect(await page('ann')).not.toContain('<script>')
  })
})

describe('a store without a mark', () => {
  test('is shown with its effect to every user; only an operator may accept it', async () => {
    for (const who of ['ann', 'ben'] as const)
      expect(await page(who)).toContain('the next order is sent without them')
    expect(await page('ann')).toContain(`action="${ACCEPT}"`)
    expect(await page('ben')).not.toContain(ACCEPT)
  })

  test('is accepted by an operator with a reason, and the reason is kept', async () => {
    const answer = await accept(cookies.ann, told)
    expect([answer.status, answer.headers.get('location')]).toEqual([
      303,
      '/quarantine?said=accepted',
    ])
    expect(await epoch().read()).not.toBeNull()
    const actions = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(actions).toContainEqual(
      expect.objectContaining({
        msg: 'dashboard.action',
        user: 'ann',
        action: 'accept store',
        allow: true,
      }),
    )
    expect(actions).toContainEqual(
      expect.objectContaining({
        msg: 'store.accepted',
        by: 'ann',
        reason: told.reason,
        isNew: true,
      }),
    )
    expect(await page('ann', '?said=accepted')).toContain('The store is accepted')
    expect(await page('ann')).not.toContain(ACCEPT)
  })

  test('a store with a mark is left as it is', async () => {
    await epoch().mint()
    expect((await accept(cookies.ann, told)).headers.get('location')).toBe(
      '/quarantine?said=nothing',
    )
    expect(await epoch().read()).toBe('made here')
  })

  test.each<[string, Record<string, string>, string]>([
    ['without the confirmation', { reason: 'why' }, 'Nothing was accepted'],
    ['with another word for it', { reason: 'why', confirmed: 'on' }, 'Nothing was accepted'],
    ['without a reason', { confirmed: 'yes' }, 'The form is not complete'],
    ['with blanks for a reason', { reason: '   ', confirmed: 'yes' }, 'Say why'],
    [
      'with a reason of a thousand letters',
      { reason: 'y'.repeat(1_000), confirmed: 'yes' },
      '500 characters',
    ],
    ['with nothing at all', {}, 'The form is not complete'],
  ])('is not accepted %s', async (_how, form, says) => {
    const answer = await accept(cookies.ann, form)
    expect([answer.status, await epoch().read()]).toEqual([400, null])
    expect(await answer.text()).toContain(says)
  })

  test.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x'])(
    'is not accepted by a body of %s, which is no form',
    async (type) => {
      const init = { method: 'POST', body: '{"confirmed":"yes"', headers: { 'content-type': type } }
      const answer = await ask(ACCEPT, cookies.ann, init)
      expect([answer.status, await epoch().read()]).toEqual([400, null])
    },
  )

  test('is not accepted by a viewer, a stranger, another site, or a link', async () => {
    expect((await accept(cookies.ben, told)).status).toBe(403)
    expect((await accept('', told)).status).toBe(401)
    expect((await accept(cookies.ann, told, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await ask(`${ACCEPT}?reason=x&confirmed=yes`, cookies.ann)).status).toBe(404)
    expect(await epoch().read()).toBeNull()
    expect(lines.join()).toContain('"allow":false')
  })

  test.each(['__proto__', 'constructor', '%3Cscript%3E'])(
    'an unknown key in the address (%s) shows no message',
    async (word) => {
      const text = await page('ann', `?said=${word}`)
      expect(text).not.toContain('role="status"')
    },
  )
})

test('a stranger sees nothing of the page', async () => {
  for (const path of ['/quarantine', '/quarantine.css'])
    expect((await ask(path, '')).status).toBe(401)
})

test('the board links to the page', async () => {
  expect(await (await ask('/queues/', cookies.ann)).text()).toContain('/quarantine')
})
