import { type Clock, isoTime, type Logger } from '#runtime'
import { type Demand, feedLeaseKey, type Leases, type Publisher, type Quotes } from '#store'
import type { MarketFeed, Tick } from '../broker/index.ts'
import { QuoteBoard, SYMBOLS_MAX } from './quotes.ts'

/**
 * Feeds the watched symbols: one quote per symbol and second, for all clients that watch the
 * symbol.
 *
 *   idle --lease of the credential taken--> feeding --lease lost, close--> idle
 *
 * The data plan allows one connection per credential, so one worker feeds for all workers; the
 * other workers wait for the lease.
 */
export type MarketDeps = Readonly<{
  demand: Demand
  quotes: Quotes
  publisher: Publisher
  leases: Leases
  clock: Clock
  log: Logger
  /** The lease is named by this credential. */
  credential: string
  open(onTick: (tick: Tick) => void): MarketFeed
}>

/** At most one quote per symbol in this time (the client contract). */
const QUOTE_EVERY_MS = 1_000
const LEASE_TTL_MS = 8_000
/** Volume and previous close are read again this often. */
const DAY_EVERY_MS = 60_000

export function startMarketRole(deps: MarketDeps): AsyncDisposable {
  const role = new MarketRole(deps)
  const stop = deps.clock.every(QUOTE_EVERY_MS, () => role.turn())
  role.turn()
  return {
    async [Symbol.asyncDispose]() {
      stop()
      await role.close()
    },
  }
}

class MarketRole {
  readonly #deps: MarketDeps
  readonly #board = new QuoteBoard()
  readonly #key: string
  #holding: { token: string; feed: MarketFeed } | null = null
  #turning: Promise<void> | null = null
  #dayReadAtMs = -Infinity

  constructor(deps: MarketDeps) {
    this.#deps = deps
    this.#key = feedLeaseKey(deps.credential)
  }

  /** Runs one beat. If the last beat still runs, the new beat is skipped, not queued. */
  turn(): void {
    this.#turning ??= this.#beat()
      .catch((error: unknown) => this.#deps.log.warn({ error }, 'market.beat_failed'))
      .finally(() => (this.#turning = null))
  }

  async close(): Promise<void> {
    await this.#turning
    const holding = this.#holding
    this.#holding = null
    if (holding === null) return
    await holding.feed.close()
    await this.#deps.leases.release(this.#key, holding.token).catch(() => {}) // it expires by itself
  }

  async #beat(): Promise<void> {
    if (!(await this.#hold())) return
    const { demand, quotes, publisher, clock } = this.#deps
    const wanted = (await demand.wanted()).slice(0, SYMBOLS_MAX)
    const added = this.#board.follow(wanted)
    this.#holding?.feed.follow(wanted)
    await this.#readDay(added, wanted)
    const changed = this.#board.takeChanged(isoTime(clock.now()))
    for (const quote of changed) publisher.quote(quote)
    await quotes.keep(changed)
  }

  async #hold(): Promise<boolean> {
    const { leases, log, open } = this.#deps
    if (this.#holding !== null) {
      if (await leases.renew(this.#key, this.#holding.token, LEASE_TTL_MS)) return true
      await this.#holding.feed.close()
      this.#holding = null
      log.warn('market.lease_lost')
    }
    const token = await leases.take(this.#key, LEASE_TTL_MS)
    if (token === null) return false
    log.info('market.lease_taken')
    this.#holding = { token, feed: open((tick) => this.#board.tick(tick)) }
    return true
  }

  async #readDay(added: readonly string[], wanted: readonly string[]): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs()
    const isDue = nowMs - this.#dayReadAtMs >= DAY_EVERY_MS
    const symbols = isDue ? wanted : added
    if (isDue) this.#dayReadAtMs = nowMs
    if (symbols.length === 0) return
    for (const [symbol, day] of (await this.#holding?.feed.readDay(symbols)) ?? [])
      this.#board.readDay(symbol, day)
  }
}
