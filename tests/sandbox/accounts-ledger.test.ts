import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { demoKeys } from './wire.ts'

/** One seed and the same commands give the same ledger, byte for byte, in two processes. */

const children: ChildProcess[] = []

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null) continue
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
})

/** Starts a sandbox of its own and answers where it is. */
async function startProcess(seed: string): Promise<string> {
  const flags = ['--port', '0', '--seed', seed, '--clock', 'virtual', '--fault-share', '0']
  const child = spawn(process.execPath, ['src/apps/sandbox/main.ts', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/[\d.]+:\d+/.exec(line)?.[0]
    if (url !== undefined) return url
  }
  throw new Error('the sandbox said no address')
}

type Step = readonly [method: string, path: string, body?: object]

const order = (symbol: string, side: string, qty: string, extra: object = {}): Step => [
  'POST',
  '/v2/orders',
  {
    symbol,
    side,
    qty,
    type: 'market',
    time_in_force: symbol === 'BTC/USD' ? 'gtc' : 'day',
    ...extra,
  },
]
const advance = (ms: number): Step => ['POST', '/_sandbox/clock/advance', { ms }]

const steps: readonly Step[] = [
  ['POST', '/_sandbox/accounts', { keyId: 'k', secret: 's', cash: '5000' }],
  ['POST', '/_sandbox/partial-fills', { enabled: true, share: 0.5 }],
  order('AAPL', 'buy', '10'),
  order('MSFT', 'buy', '7'),
  order('BTC/USD', 'buy', '0.5'),
  advance(2_000),
  order('AAPL', 'sell', '4', { type: 'limit', limit_price: '500' }),
  order('TSLA', 'sell', '3'),
  order('AAPL', 'buy', '1000000'),
  ['POST', '/_sandbox/faults', { kind: 'error_after', status: 503, path: '/v2/orders' }],
  order('NVDA', 'buy', '5'),
  advance(60_000),
  [
    'POST',
    '/_sandbox/accounts/activities',
    { keyId: 'demo-key', type: 'DIV', amount: '0.24', symbol: 'AAPL' },
  ],
  ['DELETE', '/v2/orders'],
  advance(3_600_000),
  order('MSFT', 'sell', '7'),
  advance(1_000),
]

async function run(seed: string): Promise<string> {
  const url = await startProcess(seed)
  for (const [method, path, body] of steps) {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const headers = {
      ...demoKeys,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    await (await fetch(url + path, { method, headers, ...sent })).text()
  }
  return (await fetch(`${url}/_sandbox/ledger`)).text()
}

test('two processes with one seed agree to the byte; another seed does not', async () => {
  const [first, second, other] = await Promise.all([run('7'), run('7'), run('8')])
  expect(second).toBe(first)
  expect(other).not.toBe(first)
  const ledger = JSON.parse(first) as {
    accounts: Record<
      string,
      { orders: unknown[]; executions: unknown[]; activities: { activity_type: string }[] }
    >
    requestsReceived: number
    requests: unknown[]
  }
  const books = ledger.accounts['demo-key']
  expect(books?.orders.length).toBe(7)
  expect(books?.executions.length).toBeGreaterThan(5)
  expect(books?.activities.map(({ activity_type }) => activity_type)).toEqual(['CFEE', 'DIV'])
  expect(Object.keys(ledger.accounts)).toContain('k')
  expect(ledger.requests).toHaveLength(ledger.requestsReceived)
})
