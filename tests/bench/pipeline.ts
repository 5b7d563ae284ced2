import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Socket } from 'socket.io-client'
import { wholeNumber } from '../support/flags.ts'
import { startRedis } from '../support/redis.ts'
import { cpuMsOf, startSandboxProcess } from '../support/process.ts'
import { type BenchUser, type Side, type SideName, SIDES, startSide } from './pipeline-sides.ts'

/**
 * This pipeline beside two naive ones in the same run: an order from the queue to the broker to the
 * client's screen, and its fill back. The naive ones do the same steps with nothing in between
 * (tests/bench/naive), once over the global `fetch`, once over undici. Each run has a Redis and a
 * sandbox of its own; rounds alternate, and medians over the rounds are compared.
 */
const USAGE = `Usage: npm run bench -- pipeline [options]
  --orders N         orders measured in each run (default 3000)
  --rate N           orders a second (default 250)
  --users N          users, with one broker account and one client each (default 30)
  --rounds N         runs of each pipeline (default 3)
  --only NAME        runs fetch, undici or fillcast alone, without ratios
  --profile FOLDER   writes CPU profiles of our processes there; the figures are worse for it`

const LIMITS = { orders: 20_000, rate: 2_000, users: 200, rounds: 9 } as const
/** Sent before anything is measured: compilers and caches warm up. */
const WARM_UP = 600
const EVENTS_MS_MAX = 30_000

/** Bars, as ratios of medians: CPU to the `fetch` one, latencies to the `undici` one. */
const BARS = { cpuToFetch: 0.75, cpuToUndiciGoal: 1.2, latencyToUndici: 1.2 } as const

type Load = Readonly<{
  sides: readonly SideName[]
  orders: number
  rate: number
  users: number
  rounds: number
  profile: string | undefined
}>
type Figures = Readonly<{
  cpuUs: number
  redisUs: number
  submittedMs: number
  filledMs: number
  missing: number
}>

const limited = (flag: keyof typeof LIMITS, text: string): number =>
  wholeNumber(flag, text, LIMITS[flag], USAGE)

function readLoad(args: readonly string[]): Load {
  const option = (fallback: string) => ({ type: 'string', default: fallback }) as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      orders: option('3000'),
      rate: option('250'),
      users: option('30'),
      rounds: option('3'),
      profile: { type: 'string' },
      only: { type: 'string' },
    },
  })
  return {
    orders: limited('orders', values.orders),
    rate: limited('rate', values.rate),
    users: limited('users', values.users),
    rounds: limited('rounds', values.rounds),
    profile: values.profile,
    sides: sidesOf(values.only),
  }
}

function sidesOf(only: string | undefined): readonly SideName[] {
  const side = SIDES.find((name) => name === only)
  if (only === undefined) return SIDES
  if (side === undefined)
    throw new Error(`--only must be one of ${SIDES.join(', ')}, not "${only}"\n${USAGE}`)
  return [side]
}

const nowMs = (): number => performance.timeOrigin + performance.now()

/** When each order was queued, and how long its two events took to reach its user's client. */
class Watch {
  readonly #queuedAtMs = new Map<string, number>()
  readonly submittedMs: number[] = []
  readonly filledMs: number[] = []

  queued(tradeId: string): void {
    this.#queuedAtMs.set(tradeId, nowMs())
  }

  listen(socket: Socket): void {
    socket.on('trade.submitted', ({ tradeId }: { tradeId: string }) => {
      const at = this.#queuedAtMs.get(tradeId)
      if (at !== undefined) this.submittedMs.push(nowMs() - at)
    })
    // The broker stamps an execution when it happens, on this machine's clock.
    socket.on('trade.filled', ({ tradeId, filledAt }: { tradeId: string; filledAt: string }) => {
      if (this.#queuedAtMs.has(tradeId)) this.filledMs.push(nowMs() - Date.parse(filledAt))
    })
  }

  async complete(orders: number): Promise<number> {
    const deadlineMs = nowMs() + EVENTS_MS_MAX
    const missing = (): number => 2 * orders - this.submittedMs.length - this.filledMs.length
    while (missing() > 0 && nowMs() < deadlineMs) await pause(10)
    return missing()
  }
}

/** Queues each order when it is due, without waiting for earlier orders. */
async function send(
  side: Side,
  users: readonly BenchUser[],
  prefix: string,
  orders: number,
  rate: number,
  watch: Watch,
) {
  const queued: Promise<void>[] = []
  const startMs = nowMs()
  while (queued.length < orders) {
    const due = Math.min(orders, Math.ceil(((nowMs() - startMs) / 1_000) * rate))
    for (let index = queued.length; index < due; index += 1) {
      const tradeId = `${prefix}-${index}`
      watch.queued(tradeId)
      queued.push(side.enqueue(users[index % users.length]?.userId ?? '', tradeId))
    }
    await pause(1)
  }
  await Promise.all(queued)
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

async function runOnce(name: SideName, load: Load, folder: string): Promise<Figures> {
  const users = Array.from({ length: load.users }, (_, n) => ({
    userId: `user${n}`,
    keyId: `bench-${n}`,
    secret: `bench-secret-${n}`,
  }))
  const accountsFile = join(folder, 'accounts.json')
  writeFileSync(
    accountsFile,
    JSON.stringify(users.map(({ keyId, secret }) => ({ keyId, secret, cash: '100000000' }))),
  )
  const steady = ['--no-partial-fills', '--fill-delay-ms', '20', '--tick-ms', '0']
  await using redis = await startRedis()
  const sandbox = await startSandboxProcess(['--port', '0', '--accounts', accountsFile, ...steady])
  try {
    const profileFolder = load.profile === undefined ? undefined : join(load.profile, name)
    await using side = await startSide(name, {
      redis,
      sandboxUrl: sandbox.url,
      users,
      folder,
      profileFolder,
    })
    const sockets = await Promise.all(users.map(({ userId }) => side.connect(userId)))
    const warm = new Watch()
    const watch = new Watch()
    for (const socket of sockets) {
      warm.listen(socket)
      watch.listen(socket)
    }
    await send(side, users, 'warm', WARM_UP, load.rate, warm)
    await warm.complete(WARM_UP)
    const own = (): number => side.processes.reduce((total, one) => total + (one.cpuMs() ?? NaN), 0)
    const cpuMs = own()
    const redisMs = cpuMsOf(redis.pid) ?? NaN
    await send(side, users, 'order', load.orders, load.rate, watch)
    const missing = await watch.complete(load.orders)
    const figures = {
      cpuUs: ((own() - cpuMs) * 1_000) / load.orders,
      redisUs: (((cpuMsOf(redis.pid) ?? NaN) - redisMs) * 1_000) / load.orders,
      submittedMs: median(watch.submittedMs),
      filledMs: median(watch.filledMs),
      missing,
    }
    for (const socket of sockets) socket.disconnect()
    return figures
  } finally {
    await sandbox.stop()
  }
}

const COLUMNS = [
  ['own CPU, us/order', 'cpuUs', 0],
  ['Redis CPU, us/order', 'redisUs', 0],
  ['queued -> trade.submitted, p50 ms', 'submittedMs', 2],
  ['filled -> trade.filled, p50 ms', 'filledMs', 2],
  ['events missing', 'missing', 0],
] as const

const line = (name: string, cells: readonly string[]): void =>
  void process.stdout.write(
    `${name.padEnd(36)}${cells.map((cell) => cell.padStart(12)).join('')}\n`,
  )

type Runs = Readonly<Record<SideName, readonly Figures[]>>

const medianOf = (runs: Runs, side: SideName, key: keyof Figures): number =>
  median(runs[side].map((figures) => figures[key]))

/**
 * Prints medians.
 * @returns true if no event is missing
 */
function tell(runs: Runs, sides: readonly SideName[]): boolean {
  line(`medians of ${runs[sides[0] ?? 'fillcast'].length}`, sides)
  for (const [name, key, places] of COLUMNS)
    line(
      name,
      sides.map((side) => medianOf(runs, side, key).toFixed(places)),
    )
  return sides.every((side) => runs[side].every(({ missing }) => missing === 0))
}

/**
 * Prints medians and ratios.
 * @returns true if every bar holds and no event is missing
 */
function report(runs: Runs): boolean {
  const isComplete = tell(runs, SIDES)
  const ratio = (key: keyof Figures, to: SideName): number =>
    medianOf(runs, 'fillcast', key) / medianOf(runs, to, key)
  const bars = [
    ['own CPU to fetch', ratio('cpuUs', 'fetch'), BARS.cpuToFetch, 'bar'],
    ['own CPU to undici', ratio('cpuUs', 'undici'), BARS.cpuToUndiciGoal, 'goal'],
    ['submitted latency to undici', ratio('submittedMs', 'undici'), BARS.latencyToUndici, 'bar'],
    ['filled latency to undici', ratio('filledMs', 'undici'), BARS.latencyToUndici, 'bar'],
  ] as const
  for (const [name, value, bar, kind] of bars)
    line(name, [`${value.toFixed(2)} x`, `${kind} ${bar}`, value <= bar ? 'holds' : 'MISSED'])
  process.stdout.write(
    `machine: ${availableParallelism()} cores, load average ${(loadavg()[0] ?? 0).toFixed(1)}\n`,
  )
  return isComplete && bars.every(([, value, bar, kind]) => kind === 'goal' || value <= bar)
}

/**
 * Runs the benchmark and prints its figures; false when a bar is missed or an event did not come.
 * @throws {Error} a flag is wrong, or something did not start
 */
export async function benchPipeline(args: readonly string[]): Promise<boolean> {
  const load = readLoad(args)
  const runs: Record<SideName, Figures[]> = { fetch: [], undici: [], fillcast: [] }
  const folder = mkdtempSync(join(tmpdir(), 'fillcast-bench-'))
  try {
    for (let round = 0; round < load.rounds; round += 1) {
      for (const name of load.sides) {
        const figures = await runOnce(name, load, folder)
        runs[name].push(figures)
        process.stdout.write(`round ${round + 1}: ${name} ${figures.cpuUs.toFixed(0)} us/order\n`)
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return load.sides.length === SIDES.length ? report(runs) : tell(runs, load.sides)
}
