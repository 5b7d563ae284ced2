import { setTimeout as pause } from 'node:timers/promises'
import { startBalancer } from '../relay/balancer.ts'
import { ChaosClient, TRANSPORTS } from './client.ts'
import { Ground, tokenOf } from './ground.ts'
import { compare, type Differences, noDifferences } from './judge.ts'

export type StormOptions = Readonly<{
  users: number
  events: number
  /** Events a second, at most. */
  rate: number
  relays: number
  /** Connections that are cut every 150 ms. */
  cuts: number
  /** Time between two ends of a relay; the next takes its place as soon as it is up. */
  killEveryMs: number
  seed: number
}>

/** The events of the run, so that a calm run does not pass as a storm. */
export type StormReport = Readonly<{
  differences: Differences
  events: number
  connects: number
  relaysKilled: number
  subscriptionCuts: number
  settledMs: number
}>

const CUT_MS = 150
const SUBSCRIPTION_CUT_MS = 1_000
const WRITERS = 4
/**
 * How long the last events may take once the storm is over: more than the 45 s after which the
 * vendor's client detects that it hangs. The client hangs when its WebSocket is cut between the
 * pause of its polling and the end of its upgrade.
 */
const SETTLE_MS_MAX = 60_000
const LOOK_MS = 50

/**
 * Repeats `act` until the signal ends it; each begins `everyMs` after the one before, or when that
 * is over.
 */
async function repeat(everyMs: number, signal: AbortSignal, act: () => unknown): Promise<number> {
  for (let times = 0; ; times += 1) {
    await pause(everyMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) return times
    await act()
  }
}

/** Ends one relay after another as a crash does. */
function relayKiller(ground: Ground): () => Promise<void> {
  let next = 0
  return async () => {
    const place = next++ % ground.relays.length
    await ground.relays[place]?.kill() // the balancer goes on picking it, as one does until its checks fail
    ground.relays[place] = await ground.startRelay()
  }
}

async function tellEverybody(
  ground: Ground,
  users: readonly string[],
  { events, rate }: StormOptions,
): Promise<void> {
  const startMs = performance.now()
  let told = 0
  const writer = async (own: readonly string[]): Promise<void> => {
    for (let n = 0; told < events; n += 1) {
      told += 1
      const dueMs = startMs + (told / rate) * 1_000
      const leftMs = dueMs - performance.now()
      if (leftMs > 0) await pause(leftMs)
      await ground.tell(own[n % own.length] ?? '')
    }
  }
  await Promise.all(
    Array.from({ length: WRITERS }, (_, w) =>
      writer(users.filter((_user, n) => n % WRITERS === w)),
    ),
  )
}

const connectsOf = (clients: readonly ChaosClient[]): number =>
  clients.reduce((sum, client) => sum + client.count('connection.authorized'), 0)

async function until(isSo: () => boolean, msMax: number): Promise<number> {
  const startMs = performance.now()
  while (!isSo() && performance.now() - startMs < msMax) await pause(LOOK_MS)
  return performance.now() - startMs
}

/**
 * Commits events while each part breaks: connections of every transport are cut in the middle of a
 * byte stream, relays are killed, and the subscriptions of the relays to Redis are cut. Afterwards
 * the events of each client are compared with its user's log.
 */
export async function storm(options: StormOptions): Promise<StormReport> {
  await using ground = await Ground.open(options.relays)
  await using balancer = await startBalancer(ground.relays, options.seed)
  const users = Array.from({ length: options.users }, (_, n) => `user-${n}`)
  const clients = await Promise.all(
    users.map(
      async (user, n) =>
        new ChaosClient(user, balancer.url, await tokenOf(user), TRANSPORTS[n % 3] ?? []),
    ),
  )
  try {
    await until(
      () => clients.every((client) => client.count('connection.authorized') > 0),
      SETTLE_MS_MAX,
    )
    const calm = new AbortController()
    const breaking = Promise.all([
      repeat(CUT_MS, calm.signal, () => balancer.cut(options.cuts)),
      repeat(SUBSCRIPTION_CUT_MS, calm.signal, () => ground.cutSubscriptions()),
      repeat(options.killEveryMs, calm.signal, relayKiller(ground)),
    ])
    await tellEverybody(ground, users, options)
    calm.abort()
    const [, subscriptionCuts, relaysKilled] = await breaking
    const settledMs = await until(
      () => clients.every((client) => client.heard.length >= ground.countOf(client.userId)),
      SETTLE_MS_MAX,
    )
    await pause(LOOK_MS) // a repeated event comes after its original
    const differences = noDifferences()
    for (const client of clients) {
      compare(client.heard, await ground.logOf(client.userId), differences)
      differences.resyncs += client.count('state.resync')
    }
    return {
      differences,
      events: options.events,
      connects: connectsOf(clients),
      relaysKilled,
      subscriptionCuts,
      settledMs,
    }
  } finally {
    for (const client of clients) client.socket.disconnect()
  }
}
