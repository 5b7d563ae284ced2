import { setTimeout as pause } from 'node:timers/promises'
import type { SubmitOrder } from '#contract'
import { UnavailableError } from '#producer'
import { createReader, createStore, type Store } from '#store'
import { type Randomness, createRandomness } from '../../src/apps/sandbox/randomness.ts'
import type { Verdict } from '../soak/judge.ts'
import { ask, type SoakRequest, soakRequests } from '../soak/requests.ts'
import { settle } from '../soak/settle.ts'
import { LogTail } from '../soak/tail.ts'
import { connectionOf, Ground } from '../support/ground.ts'
import { AppendOnlyFile, LOST_MS_MAX } from './append-only.ts'

export type RedisOptions = Readonly<{ kills: number; users: number; rate: number; seed: string }>

/** The events of the run, so that a calm run does not pass as a storm. */
export type RedisReport = Readonly<{
  verdict: Verdict
  trades: number
  /**
   * Kills after which the end of the append-only file was gone as well, and how much of it in all.
   */
  cuts: number
  bytesLost: number
  /** Published events that were lost. */
  eventsLost: number
  /** Trades that were submitted again, because no record existed. */
  repeats: number
  /** Trades without a record at the end, although they were submitted again. */
  untold: number
  /** Holdings that differed from their executions until the broker's figures corrected them. */
  drifts: number
  settledMs: number
}>

const WORKERS = 2
const UP_MS_MIN = 300
const UP_MS_MAX = 4_000
const DOWN_MS_MAX = 1_000
/** Redis is back long before. */
const ASK_MS_MAX = 30_000
const ASK_AGAIN_MS = 50
const REPEAT_EVERY_KILLS = 5
const REPEATS_MAX = 5
/** A job that was queued is taken, and its trade has a record, well within this. */
const TAKEN_MS = 5_000
/** Ends the requests only if the kills do not. */
const TRADES_MAX = 1_000_000

/**
 * A trade API without certainty: it submits again, with the same ids, while Redis is away, and
 * repeats each trade that has no record. A trade without a record may be a lost job, which no
 * promise covers, or a lost trade; a lost job gets its record after the second submission.
 */
class TradeApi {
  readonly #ground: Ground
  readonly #store: Store
  readonly #trades = new Map<string, SubmitOrder>()
  repeats = 0

  constructor(ground: Ground) {
    this.#ground = ground
    this.#store = createStore(ground.redis.connect())
  }

  get trades(): number {
    return this.#trades.size
  }

  async ask(request: SoakRequest): Promise<void> {
    if (request.type === 'submit') this.#trades.set(request.order.tradeId, request.order)
    const untilMs = performance.now() + ASK_MS_MAX
    for (;;) {
      try {
        return await ask(this.#ground.producer, request)
      } catch (error) {
        if (!(error instanceof UnavailableError) || performance.now() > untilMs) throw error
        await pause(ASK_AGAIN_MS)
      }
    }
  }

  /** Submitted trades without a record. */
  async untold(): Promise<SubmitOrder[]> {
    const told = new Set<string>()
    for (const userId of this.#ground.users)
      for (const { id } of (await this.#store.loadConnection(userId, connectionOf(userId))).orders)
        told.add(id)
    return [...this.#trades.values()].filter(({ tradeId }) => !told.has(tradeId))
  }

  async repeatUntold(): Promise<void> {
    for (const order of await this.untold()) {
      this.repeats += 1
      await this.ask({ type: 'submit', order })
    }
  }
}

/**
 * Kills Redis as a crash does. Every other kill takes the machine along, and with the machine the
 * end of the append-only file.
 */
async function killRedis(
  { redis }: Ground,
  file: AppendOnlyFile,
  randomness: Randomness,
): Promise<number> {
  await pause(randomness.integer(UP_MS_MIN, UP_MS_MAX))
  const isCut = randomness.fraction() < 0.5
  const lostMs = randomness.integer(1, LOST_MS_MAX)
  const downMs = randomness.integer(0, DOWN_MS_MAX)
  await redis.kill()
  const bytesLost = isCut ? file.cutBack(lostMs) : 0
  await pause(downMs)
  await redis.restart()
  return bytesLost
}

/** Asks for one thing after the other at `rate` trades a second, until the signal. */
async function load(
  api: TradeApi,
  { seed, users, rate }: RedisOptions,
  signal: AbortSignal,
): Promise<void> {
  const startMs = performance.now()
  for (const request of soakRequests(seed, TRADES_MAX, users)) {
    while (performance.now() < startMs + (api.trades / rate) * 1_000) await pause(5)
    if (signal.aborted) return
    await api.ask(request)
  }
}

/**
 * Redis, with an append-only file that is synced once a second, is killed at random moments while
 * orders flow, and started again on the same port and folder. Workers stay. Afterwards the broker's
 * ledger, our state and the event logs are compared as the soak does.
 */
export async function killRedisAtRandom(options: RedisOptions): Promise<RedisReport> {
  const { kills, users, seed } = options
  await using ground = await Ground.open({
    seed,
    users,
    workers: WORKERS,
    redis: { persistent: true },
  })
  const [, folder = ''] = (await ground.redis.connect().config('GET', 'dir')) as string[]
  using file = new AppendOnlyFile(folder)
  const tail = new LogTail(createReader(ground.redis.connect()), ground.users)
  const stopTail = tail.follow()
  const api = new TradeApi(ground)
  const calm = new AbortController()
  const loading = load(api, options, calm.signal)
  const randomness = createRandomness(`${seed}/redis`)
  let cuts = 0
  let bytesLost = 0
  for (let kill = 1; kill <= kills; kill += 1) {
    const lost = await killRedis(ground, file, randomness)
    if (lost > 0) cuts += 1
    bytesLost += lost
    if (kill % REPEAT_EVERY_KILLS === 0) await api.repeatUntold()
  }
  calm.abort()
  await loading
  for (let times = 0; times < REPEATS_MAX && (await api.untold()).length > 0; times += 1) {
    await api.repeatUntold()
    await pause(TAKEN_MS)
  }
  const { verdict, settledMs } = await settle(ground, tail)
  await stopTail()
  const untold = (await api.untold()).length
  const { trades, repeats } = api
  const { drifts } = ground
  return {
    verdict,
    trades,
    cuts,
    bytesLost,
    eventsLost: tail.takenBack,
    repeats,
    untold,
    drifts,
    settledMs,
  }
}
