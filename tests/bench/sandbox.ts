import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { wholeNumber } from '../support/flags.ts'
import { type ManagedProcess, startSandboxProcess } from '../support/process.ts'
import { Tally } from './tally.ts'
import { type BenchAccount, drain, openListeners } from './trade-listeners.ts'

/**
 * One sandbox process, many accounts, one trade stream each, market orders over all of them at a
 * steady rate. The benchmark checks that every stream gets `new` and `fill` of every order of its
 * account, once, and measures the cost of an order. The load and the sandbox share this machine.
 */
const USAGE = `Usage: npm run bench -- sandbox [options]
  --accounts N       accounts, with one trade stream each (default 1000)
  --rate N           orders a second over all of them (default 1000)
  --seconds N        how long orders are sent (default 10)
  --profile FOLDER   writes a CPU profile of the sandbox there; the figures are worse for it`

const ACCOUNTS_MAX = 5_000
const RATE_MAX = 10_000
const SECONDS_MAX = 60
const CONNECTIONS = 32
const ANSWER_MS_MAX = 20_000
/** How long events may be late, once every order was answered. */
const EVENTS_MS_MAX = 30_000
const SYMBOLS = ['AAPL', 'MSFT', 'TSLA', 'NVDA', 'AMZN'] as const

type SandboxProcess = ManagedProcess & { url: string }
type Load = Readonly<{
  accounts: number
  rate: number
  seconds: number
  profile: string | undefined
}>
/**
 * The result of a run. `sendMs` until the last order was sent, `doneMs` until its last event; CPU
 * from the first order on.
 */
type Run = Readonly<{
  tally: Tally
  refusals: readonly string[]
  sendMs: number
  doneMs: number
  sandboxCpuMs: number | undefined
  ownCpuMs: number
}>

function readLoad(args: readonly string[]): Load {
  const { values } = parseArgs({
    args: [...args],
    options: {
      accounts: { type: 'string', default: '1000' },
      rate: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '10' },
      profile: { type: 'string' },
    },
  })
  return {
    accounts: wholeNumber('accounts', values.accounts, ACCOUNTS_MAX, USAGE),
    rate: wholeNumber('rate', values.rate, RATE_MAX, USAGE),
    seconds: wholeNumber('seconds', values.seconds, SECONDS_MAX, USAGE),
    profile: values.profile,
  }
}

/** The sandbox is started without a rate limit. */
const newAccounts = (count: number): BenchAccount[] =>
  Array.from({ length: count }, (_, index) => ({
    keyId: `bench-${index}`,
    secret: `bench-secret-${index}`,
  }))

/** Why an order was not taken, or undefined. */
async function post(pool: Pool, account: BenchAccount, clientOrderId: string, symbol: string) {
  const order = {
    symbol,
    qty: '1',
    side: 'buy',
    type: 'market',
    time_in_force: 'day',
    client_order_id: clientOrderId,
  }
  try {
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: '/v2/orders',
      headers: {
        'apca-api-key-id': account.keyId,
        'apca-api-secret-key': account.secret,
        'content-type': 'application/json',
      },
      body: JSON.stringify(order),
    })
    const text = await body.text()
    return statusCode === 200 ? undefined : `${statusCode} ${text}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/**
 * Sends each order when it is due, without waiting for earlier orders; resolves when each order was
 * answered or given up.
 */
async function sendOrders(pool: Pool, load: Load, accounts: readonly BenchAccount[], tally: Tally) {
  const refusals: string[] = []
  const posts: Promise<void>[] = []
  const total = load.rate * load.seconds
  const send = async (index: number): Promise<void> => {
    const account = index % accounts.length
    const clientOrderId = `bench-${account}-${index}`
    const keys = accounts[account]
    if (keys === undefined) return
    tally.sent(clientOrderId, account, performance.now())
    const refusal = await post(pool, keys, clientOrderId, SYMBOLS[index % SYMBOLS.length] ?? 'AAPL')
    if (refusal === undefined) tally.answered(clientOrderId)
    else refusals.push(refusal)
  }
  const startMs = performance.now()
  while (posts.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startMs) / 1000) * load.rate))
    while (posts.length < due) posts.push(send(posts.length))
    await pause(1)
  }
  const sendMs = performance.now() - startMs
  await Promise.all(posts)
  return { refusals, sendMs }
}

async function run(
  sandbox: SandboxProcess,
  load: Load,
  accounts: readonly BenchAccount[],
): Promise<Run> {
  const tally = new Tally()
  const limits = {
    connections: CONNECTIONS,
    headersTimeout: ANSWER_MS_MAX,
    bodyTimeout: ANSWER_MS_MAX,
  }
  const pool = new Pool(sandbox.url, limits)
  const sockets = await openListeners(sandbox.url, accounts, tally)
  try {
    const startMs = performance.now()
    const ownCpu = process.cpuUsage()
    const startCpuMs = sandbox.cpuMs() ?? 0
    const sending = await sendOrders(pool, load, accounts, tally)
    const deadlineMs = performance.now() + EVENTS_MS_MAX
    while (tally.figures().lost > 0 && performance.now() < deadlineMs) await pause(20)
    const doneMs = performance.now() - startMs
    await drain(sockets)
    const { user, system } = process.cpuUsage(ownCpu)
    const cpuMs = sandbox.cpuMs()
    const sandboxCpuMs = cpuMs === undefined ? undefined : cpuMs - startCpuMs
    return { tally, ...sending, doneMs, sandboxCpuMs, ownCpuMs: (user + system) / 1000 }
  } finally {
    sockets.forEach((socket) => socket.terminate())
    await pool.destroy()
  }
}

const rounded = (value: number, places: number): string => value.toFixed(places)
const perOrder = (cpuMs: number | undefined, orders: number): string =>
  cpuMs === undefined
    ? 'unknown: it is read from /proc, which this system has not'
    : rounded(cpuMs / orders, 3)

/** The smallest latency that `share` of all do not exceed. */
function percentile(sorted: readonly number[], share: number): string {
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
  return value === undefined ? 'none' : rounded(value, 1)
}

/**
 * Prints the figures.
 * @returns true if every order was accepted and every event came once
 */
function report(load: Load, run: Run, rssMib: number | undefined): boolean {
  const { tally, refusals } = run
  const { sent, answered, expected, received, lost } = tally.figures()
  const latencies = tally.latenciesMs.toSorted((a, b) => a - b)
  const lines = [
    ['accounts and streams', load.accounts],
    ['orders sent', sent],
    [
      'orders refused or failed',
      `${sent - answered}${refusals[0] === undefined ? '' : ` (the first: ${refusals[0]})`}`,
    ],
    ['orders/s wanted', load.rate],
    ['orders/s sent', rounded(sent / (run.sendMs / 1000), 0)],
    ['orders/s until the last event', rounded(answered / (run.doneMs / 1000), 0)],
    ['events expected', expected],
    ['events received', received],
    ['events lost', lost],
    ['events repeated', tally.repeated],
    ['events on a wrong stream', tally.stray],
    ['POST to fill event, p50 ms', percentile(latencies, 0.5)],
    ['POST to fill event, p99 ms', percentile(latencies, 0.99)],
    ['sandbox CPU per order, ms', perOrder(run.sandboxCpuMs, sent)],
    ['sandbox memory (rss), MiB', rssMib === undefined ? 'unknown: no /proc' : rounded(rssMib, 0)],
    ['load generator CPU per order, ms', perOrder(run.ownCpuMs, sent)],
    ['machine', `${availableParallelism()} cores, load average ${rounded(loadavg()[0] ?? 0, 1)}`],
  ] as const
  for (const [name, value] of lines) process.stdout.write(`${name.padEnd(34)}${value}\n`)
  const isClean = answered === sent && lost === 0 && tally.repeated === 0 && tally.stray === 0
  process.stdout.write(isClean ? 'clean: every event came, once\n' : 'NOT CLEAN\n')
  return isClean
}

/**
 * A sandbox that fills every order at once and in full, at prices that stand still. It has read the
 * accounts when it is up.
 */
async function startFor(
  accounts: readonly BenchAccount[],
  profile: string | undefined,
): Promise<SandboxProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'fillcast-bench-'))
  try {
    const file = join(folder, 'accounts.json')
    writeFileSync(file, JSON.stringify(accounts))
    const steady = ['--no-partial-fills', '--fill-delay-ms', '0', '--tick-ms', '0']
    return await startSandboxProcess(['--port', '0', '--accounts', file, ...steady], profile)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * Runs the benchmark and prints its figures; false when an order failed, or an event was lost,
 * repeated or misdirected.
 * @throws {Error} a flag is wrong, or the sandbox or a stream did not come up
 */
export async function benchSandbox(args: readonly string[]): Promise<boolean> {
  const load = readLoad(args)
  const accounts = newAccounts(load.accounts)
  const sandbox = await startFor(accounts, load.profile)
  try {
    return report(load, await run(sandbox, load, accounts), sandbox.rssMib())
  } finally {
    await sandbox.stop()
  }
}
