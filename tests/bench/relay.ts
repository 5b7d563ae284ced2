import { availableParallelism, freemem, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Crowd } from './crowd.ts'
import { wholeNumber } from '../support/flags.ts'
import { openFilesMax } from '../support/process.ts'
import {
  RELAY_SIDES,
  type RelaySide,
  type RelaySideName,
  startRelaySide,
  userIdOf,
} from './relay-sides.ts'

/**
 * This relay beside two others in the same run: bare WebSockets fed by Redis, which is the floor,
 * and stock Socket.IO with its Redis adapter and emitter (tests/bench/naive). Only ratios are
 * judged, because the cost of a system call differs between machines by a factor of three. Each
 * event is sent after every client has received the previous event, so that events do not share a
 * turn of a server's loop by accident. The cost of idle connections is measured before and after,
 * and subtracted on every side.
 */
const USAGE = `Usage: npm run bench -- relay [options]
  --clients N      clients in one room, and users in rooms of their own (default 5000)
  --broadcasts N   events to the room of all, and bursts of 8 to a room of 1,000, in each round (default 40)
  --events N       events to single users in each round (default 4000)
  --relays N       processes that share the users in the last of these cases (default 4)
  --idle N         connections of one process whose memory is measured (default 15000, fewer where the machine forbids it)
  --rounds N       rounds, of which the medians are compared (default 3)
  --only NAME      only one of the cases one, several, idle; nothing is judged then that was not measured`

const LIMITS = {
  clients: 15_000,
  broadcasts: 1_000,
  events: 100_000,
  relays: 8,
  idle: 25_000,
  rounds: 9,
} as const
const DEFAULTS = {
  clients: 5_000,
  broadcasts: 40,
  events: 4_000,
  relays: 4,
  idle: 15_000,
  rounds: 3,
} as const
type Load = Readonly<Record<keyof typeof LIMITS, number>>

const ROOM = 'ROOM'
const SMALL_ROOM = 'TURN'
const SMALL_ROOM_CLIENTS = 1_000
const TURN_EVENTS = 8
const ELSEWHERE_EVENTS = 100_000
const ELSEWHERE_BATCH = 500
/**
 * Sent before anything is measured: compilers and caches warm up. On every side an event gets
 * cheaper by about a quarter until some 8,000 have passed; measured before that, it is the
 * compiler's work that is compared.
 */
const WARM_UP = { broadcasts: 5, events: 10_000 } as const
/** Pause after the last client connected: buffers of the connects are freed. */
const REST_MS = 10_000
/**
 * After this pause, clients that connected together are not inspected together: inspections are up
 * to 30 s apart.
 */
const SPREAD_MS = 30_000
const IDLE_MS = 5_000
/**
 * Files and memory of a process besides its connections; memory that a connection takes on both of
 * its ends.
 */
const FILES_BESIDES = 500
const CONNECTION_BYTES = 100_000

type Figures = {
  room: number
  turn: number
  own: number
  elsewhere: number
  standing: number
  several: number
  memory: number
}
type Runs = Record<RelaySideName, Partial<Figures>[]>

const ROWS = [
  ['one room, us a delivery', 'room', 2],
  [`${TURN_EVENTS} events in a turn, us a delivery`, 'turn', 2],
  ['own rooms, us an event', 'own', 1],
  ['own rooms, several relays, us an event', 'several', 1],
  ['for users elsewhere, us a message', 'elsewhere', 2],
  ['keeping the connections, ms a second', 'standing', 1],
  ['memory, KiB a connection', 'memory', 1],
] as const

/** `to`: the side that a figure is divided by; undefined: the figure itself. */
type Bar = Readonly<{
  name: string
  key: keyof Figures
  to?: RelaySideName
  bar: number
  isGoal?: true
}>
const BARS: readonly Bar[] = [
  { name: 'one room to stock', key: 'room', to: 'stock', bar: 0.8 },
  { name: 'one room to bare', key: 'room', to: 'bare', bar: 1.1, isGoal: true },
  { name: 'events in a turn to stock', key: 'turn', to: 'stock', bar: 0.25 },
  { name: 'events in a turn to stock', key: 'turn', to: 'stock', bar: 0.2, isGoal: true },
  { name: 'own rooms to stock', key: 'own', to: 'stock', bar: 0.85 },
  { name: 'own rooms to stock', key: 'own', to: 'stock', bar: 0.7, isGoal: true },
  { name: 'several relays to stock', key: 'several', to: 'stock', bar: 0.75 },
  { name: 'several relays to stock', key: 'several', to: 'stock', bar: 0.6, isGoal: true },
  { name: 'for users elsewhere, us', key: 'elsewhere', bar: 1 },
  { name: 'memory to stock', key: 'memory', to: 'stock', bar: 1.1 },
  { name: 'memory to stock', key: 'memory', to: 'stock', bar: 1, isGoal: true },
]

const limited = (flag: keyof typeof LIMITS, text: string): number =>
  wholeNumber(flag, text, LIMITS[flag], USAGE)

const CASES = ['one', 'several', 'idle'] as const
type Case = (typeof CASES)[number]

function readLoad(args: readonly string[]): Readonly<{ load: Load; cases: readonly Case[] }> {
  const flags = Object.keys(LIMITS) as (keyof typeof LIMITS)[]
  const options = Object.fromEntries(
    [...flags, 'only'].map((flag) => [flag, { type: 'string' } as const]),
  )
  const { values } = parseArgs({ args: [...args], options })
  const cases = CASES.filter((name) => values['only'] === undefined || name === values['only'])
  if (cases.length === 0) throw new Error(`--only must be one of ${CASES.join(', ')}\n${USAGE}`)
  const read = (flag: keyof typeof LIMITS): number => {
    const given = values[flag]
    return typeof given === 'string'
      ? limited(flag, given)
      : Math.min(DEFAULTS[flag], connectionsMax(flag))
  }
  return { load: Object.fromEntries(flags.map((flag) => [flag, read(flag)])) as Load, cases }
}

/** How many of them this machine allows, where they are connections. */
function connectionsMax(flag: keyof typeof LIMITS): number {
  if (flag !== 'idle' && flag !== 'clients') return Infinity
  const byFiles = openFilesMax() - FILES_BESIDES
  const byMemory = Math.floor(freemem() / CONNECTION_BYTES)
  const max = Math.max(1, Math.min(byFiles, byMemory))
  if (max < DEFAULTS[flag])
    process.stdout.write(
      `--${flag} is ${max}: open files allow ${byFiles} connections, free memory ${byMemory}\n`,
    )
  return max
}

const cpuMsOfAll = ({ processes }: RelaySide): number =>
  processes.reduce((sum, each) => sum + (each.cpuMs() ?? NaN), 0)

type Spent = Readonly<{ cpuMs: number; ms: number }>

/** CPU that the side's processes take while `work` is done: all of it, and how long that took. */
async function cpuOf(side: RelaySide, work: () => Promise<unknown>): Promise<Spent> {
  const cpuMs = cpuMsOfAll(side)
  const startMs = performance.now()
  await work()
  return { cpuMs: cpuMsOfAll(side) - cpuMs, ms: performance.now() - startMs }
}

/**
 * Runs several pieces of work between two idle periods. The CPU a second of the idle periods is the
 * cost of the connections.
 */
async function cpuBesidesIdling(side: RelaySide, work: readonly (() => Promise<unknown>)[]) {
  await pause(SPREAD_MS)
  const before = await cpuOf(side, () => pause(IDLE_MS))
  const spent: Spent[] = []
  for (const each of work) spent.push(await cpuOf(side, each))
  const after = await cpuOf(side, () => pause(IDLE_MS))
  const idleShare = (before.cpuMs + after.cpuMs) / (before.ms + after.ms)
  return {
    standing: idleShare * 1_000,
    cpuMs: spent.map(({ cpuMs, ms }) => Math.max(0, cpuMs - idleShare * ms)),
  }
}

async function crowdOf(
  side: RelaySide,
  count: number,
  symbolsOf: (n: number) => readonly string[],
): Promise<Crowd> {
  const crowd = new Crowd()
  const numbers = Array.from({ length: count }, (_, n) => n)
  await crowd.enter(await Promise.all(numbers.map((n) => side.visitor(n, symbolsOf(n)))))
  return crowd
}

/** One event a relay at a time, to one user after another. */
async function tellInTurn(
  side: RelaySide,
  crowd: Crowd,
  users: number,
  events: number,
): Promise<void> {
  const atOnce = side.processes.length
  for (let n = 0; n < events; n += atOnce) {
    const told = Array.from({ length: Math.min(atOnce, events - n) }, (_, i) =>
      userIdOf((n + i) % users),
    )
    await crowd.hear(told.length, () =>
      Promise.all(told.map((userId) => side.tell(userId))).then(() => {}),
    )
  }
  await crowd.calm()
}

async function broadcast(
  side: RelaySide,
  crowd: Crowd,
  symbol: string,
  clients: number,
  count: number,
  times: number,
) {
  for (let n = 0; n < times; n += 1)
    await crowd.hear(clients * count, () => side.broadcast(symbol, count))
  await crowd.calm()
}

async function tellElsewhere(side: RelaySide): Promise<void> {
  for (let n = 0; n < ELSEWHERE_EVENTS; n += ELSEWHERE_BATCH)
    await side.tellElsewhere(ELSEWHERE_BATCH)
}

/** One process with every user on it. */
async function runOne(
  name: RelaySideName,
  { clients, broadcasts, events }: Load,
): Promise<Partial<Figures>> {
  const small = Math.min(SMALL_ROOM_CLIENTS, clients)
  await using side = await startRelaySide(name, 1)
  using crowd = await crowdOf(side, clients, (n) => (n < small ? [ROOM, SMALL_ROOM] : [ROOM]))
  await broadcast(side, crowd, ROOM, clients, 1, WARM_UP.broadcasts)
  await broadcast(side, crowd, SMALL_ROOM, small, TURN_EVENTS, WARM_UP.broadcasts)
  await tellInTurn(side, crowd, clients, WARM_UP.events)
  const work = [
    [broadcasts * clients, () => broadcast(side, crowd, ROOM, clients, 1, broadcasts)],
    [
      broadcasts * small * TURN_EVENTS,
      () => broadcast(side, crowd, SMALL_ROOM, small, TURN_EVENTS, broadcasts),
    ],
    [events, () => tellInTurn(side, crowd, clients, events)],
    [ELSEWHERE_EVENTS, () => tellElsewhere(side)],
  ] as const
  const { standing, cpuMs } = await cpuBesidesIdling(
    side,
    work.map(([, each]) => each),
  )
  const [room = NaN, turn = NaN, own = NaN, elsewhere = NaN] = work.map(([count], n) =>
    usOf(cpuMs[n], count),
  )
  return { standing, room, turn, own, elsewhere }
}

const usOf = (cpuMs = NaN, count: number): number => (cpuMs * 1_000) / count

/** The users spread over several processes. */
async function runSeveral(
  name: RelaySideName,
  { clients, events, relays }: Load,
): Promise<Partial<Figures>> {
  await using side = await startRelaySide(name, relays)
  using crowd = await crowdOf(side, clients, () => [])
  await tellInTurn(side, crowd, clients, WARM_UP.events)
  const { cpuMs } = await cpuBesidesIdling(side, [() => tellInTurn(side, crowd, clients, events)])
  return { several: usOf(cpuMs[0], events) }
}

/** The memory that a connection adds to a process that has been in use before. */
async function runIdle(name: RelaySideName, { idle }: Load): Promise<Partial<Figures>> {
  await using side = await startRelaySide(name, 1)
  const memoryMib = (): number => side.processes[0]?.rssMib() ?? NaN
  const before = memoryMib()
  using crowd = await crowdOf(side, idle, () => [])
  await pause(REST_MS)
  await crowd.calm()
  return { memory: ((memoryMib() - before) * 1_024) / idle }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

/**
 * Prints medians and ratios.
 * @returns true if every bar holds
 */
function report(runs: Runs): boolean {
  const line = (name: string, cells: readonly string[]): void =>
    void process.stdout.write(
      `${name.padEnd(40)}${cells.map((cell) => cell.padStart(11)).join('')}\n`,
    )
  const of = (side: RelaySideName, key: keyof Figures): number =>
    median(runs[side].flatMap((figures) => figures[key] ?? []))
  line('medians', RELAY_SIDES)
  for (const [name, key, places] of ROWS)
    line(
      name,
      RELAY_SIDES.map((side) =>
        Number.isNaN(of(side, key)) ? '-' : of(side, key).toFixed(places),
      ),
    )
  const valueOf = ({ key, to }: Bar): number =>
    of('fillcast', key) / (to === undefined ? 1 : of(to, key))
  const measured = BARS.filter((bar) => !Number.isNaN(valueOf(bar)))
  for (const bar of measured) {
    const unit = bar.to === undefined ? '' : ' x'
    const isHeld = valueOf(bar) <= bar.bar
    line(bar.name, [
      `${valueOf(bar).toFixed(2)}${unit}`,
      `${bar.isGoal === true ? 'goal' : 'bar'} ${bar.bar}`,
      isHeld ? 'holds' : 'MISSED',
    ])
  }
  process.stdout.write(
    `machine: ${availableParallelism()} cores, load average ${(loadavg()[0] ?? 0).toFixed(1)}\n`,
  )
  return measured.every((bar) => bar.isGoal === true || valueOf(bar) <= bar.bar)
}

/**
 * Runs the benchmark and prints its figures; false when a bar is missed.
 * @throws {Error} a flag is wrong, a process did not start, or an event was lost, repeated or sent
 *   to another user
 */
export async function benchRelay(args: readonly string[]): Promise<boolean> {
  const { load, cases } = readLoad(args)
  const runs: Runs = { bare: [], stock: [], fillcast: [] }
  const measured = {
    one: [runOne, RELAY_SIDES],
    several: [runSeveral, ['stock', 'fillcast']],
    idle: [runIdle, RELAY_SIDES],
  } as const
  for (let round = 1; round <= load.rounds; round += 1) {
    for (const name of cases) {
      const [run, sides] = measured[name]
      for (const side of sides) {
        const figures = await run(side, load)
        runs[side].push(figures)
        const text = Object.entries(figures).map(([key, value]) => `${key} ${value.toFixed(2)}`)
        process.stdout.write(`round ${round}: ${side} ${text.join(', ')}\n`)
      }
    }
  }
  return report(runs)
}
