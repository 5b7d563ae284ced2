import type { Clock, Randomness } from '#runtime'
import type { TradeStream, TradeStreamListener } from '../port.ts'
import { readTradeUpdate } from './wire.ts'

/**
 * One account's trade stream, kept open.
 *
 *   connecting --authenticated--> live --closed--> waiting --delay--> connecting ...
 *       |  refused for good: down, final            |  close(): closed, final
 *
 * Each try uses a new SDK stream with its own reconnecting off: the SDK's stops for good after ten tries without saying so, and
 * may wait for ever for an answer to its authentication. The delay doubles with full jitter and is reset only after the stream has
 * stayed up for a while (CON-02).
 */
const AUTHENTICATION_MS_MAX = 10_000
const DELAY_MS_MIN = 250
const DELAY_MS_MAX = 30_000
const STAYED_UP_MS = 10_000

export type StreamTimers = Readonly<{ clock: Clock; random: Randomness }>

/** The part of the SDK's stream that is used here. */
export interface VendorStream {
  connect(): void
  disconnect(): void
  onConnect(run: () => void): unknown
  onDisconnect(run: () => void): unknown
  onError(run: (message: string) => void): unknown
  onTradeUpdate(run: (update: Readonly<Record<string, unknown>>) => void): unknown
  subscribeTradeUpdates(): void
  on(event: string, run: (...values: unknown[]) => void): unknown
}

/** What the SDK says when the broker refused the credentials: it will not try again, and neither do we. */
const REFUSED = /^auth failed|^Unexpected server response: 40[13]$/i

export function openTradeStream(
  create: () => VendorStream,
  listener: TradeStreamListener,
  timers: StreamTimers,
): TradeStream {
  const keeper = new StreamKeeper(create, listener, timers)
  keeper.connect()
  return { close: () => keeper.close() }
}

class StreamKeeper {
  readonly #create: () => VendorStream
  readonly #listener: TradeStreamListener
  readonly #timers: StreamTimers
  #stream: VendorStream | null = null
  #attempts = 0
  #isClosed = false
  #cancelTimer: () => void = () => {}

  constructor(create: () => VendorStream, listener: TradeStreamListener, timers: StreamTimers) {
    this.#create = create
    this.#listener = listener
    this.#timers = timers
  }

  connect(): void {
    const stream = this.#create()
    this.#stream = stream
    let liveSinceMs: number | null = null
    let refusal: string | null = null
    let isOver = false
    const end = (message: string): void => {
      if (isOver || this.#isClosed) return
      isOver = true
      this.#cancelTimer()
      stream.disconnect()
      if (liveSinceMs !== null && this.#timers.clock.monotonicMs() - liveSinceMs >= STAYED_UP_MS) this.#attempts = 0
      this.#down(refusal, message)
    }
    stream.onError((message) => {
      if (liveSinceMs !== null) this.#listener.onUnreadable(message)
      else if (REFUSED.test(message)) refusal = message
    })
    stream.onDisconnect(() => end('the stream was closed'))
    stream.onTradeUpdate((update) => this.#deliver(update))
    stream.on('subscription', () => {
      if (isOver || liveSinceMs !== null) return
      this.#cancelTimer()
      liveSinceMs = this.#timers.clock.monotonicMs()
      this.#listener.onLive()
    })
    stream.subscribeTradeUpdates()
    stream.connect()
    this.#cancelTimer = this.#timers.clock.after(AUTHENTICATION_MS_MAX, () => end('no answer to the authentication'))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelTimer()
    this.#stream?.disconnect()
  }

  #deliver(update: unknown): void {
    if (this.#isClosed) return
    try {
      const { isCorrection, ...told } = readTradeUpdate(update)
      this.#listener.onUpdate(told)
      if (isCorrection) this.#listener.onUnreadable('an execution was restated')
    } catch (error) {
      this.#listener.onUnreadable(error instanceof Error ? error.name : 'unreadable')
    }
  }

  #down(refusal: string | null, message: string): void {
    if (refusal !== null) {
      this.#listener.onDown({ kind: 'credentials', message: 'API authentication failed', final: true })
      return
    }
    this.#listener.onDown({ kind: 'connection', message, final: false })
    const ceiling = Math.min(DELAY_MS_MIN * 2 ** this.#attempts, DELAY_MS_MAX)
    this.#attempts = Math.min(this.#attempts + 1, 10)
    const delayMs = DELAY_MS_MIN + this.#timers.random.fraction() * ceiling
    this.#cancelTimer = this.#timers.clock.after(delayMs, () => this.connect())
  }
}
