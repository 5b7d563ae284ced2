import type { Bust } from '#domain'
import type { CancelTimer, Clock, Randomness } from '#runtime'
import type { HandshakeGate } from '../handshakes.ts'
import type { StreamUrgency, TradeStream, TradeStreamListener } from '../port.ts'
import { type Correction, readTradeUpdate } from './order-rows.ts'
import { noteUnread } from './orders.ts'
import type { OnUnread } from './read.ts'

/**
 * Keeps one account's trade stream open.
 *
 *   waiting --its turn--> connecting --subscribed--> live --closed--> waiting ...
 *                             |  credentials refused: down, final       close(): closed, final
 *                             |  slot refused (406, 429): waiting, for as long as a dead
 *                             |  connection holds the slot
 *
 * Each try uses a new stream of the SDK without the SDK's own reconnecting: the SDK stops for good
 * after ten tries without reporting it, and may wait for ever for the answer to its authentication.
 * The delay doubles with full jitter and is reset only after the stream has stayed up for a while;
 * all accounts of the process take turns at one gate (CON-02).
 */
const AUTHENTICATION_MS_MAX = 10_000
const DELAY_MS_MIN = 250
const DELAY_MS_MAX = 30_000
const STAYED_UP_MS = 10_000
/** More failures in a row do not make the delay longer. */
const ATTEMPTS_COUNTED = 10
/** A connection that died without a close holds the account's one slot for about this long. */
const SLOT_MS = 90_000

export type StreamTimers = Readonly<{ clock: Clock; random: Randomness; handshakes: HandshakeGate }>

/** The part of the SDK's stream that is used here. */
export interface VendorStream {
  connect(): void
  disconnect(): void
  onDisconnect(run: () => void): unknown
  onError(run: (message: string) => void): unknown
  onTradeUpdate(run: (update: Readonly<Record<string, unknown>>) => void): unknown
  subscribeTradeUpdates(): void
  /** The server's confirmation of the subscription. */
  on(event: 'subscription', run: () => void): unknown
}

/** The SDK's messages for refused credentials: neither the SDK nor we try again. */
const REFUSED = /^auth failed|^Unexpected server response: 40[13]$/i
/** The SDK's messages for an account that already has a connection, or had too many. */
const SLOT_TAKEN = /^Unexpected server response: 4(06|29)$|connection limit/i

export function openTradeStream(
  create: () => VendorStream,
  listener: TradeStreamListener,
  timers: StreamTimers,
  urgency: () => StreamUrgency = () => 'idle',
  onUnread: OnUnread = () => {},
): TradeStream {
  const keeper = new StreamKeeper(create, listener, timers, urgency, onUnread)
  keeper.takeTurn()
  return { close: () => keeper.close() }
}

/**
 * Executions that a stream remembers. Corrections come soon after their execution, or
 * reconciliation finds them.
 */
const EXECUTIONS_KEPT_MAX = 64

/** The terms of the last executions: a correction reports only the new terms. */
class RecentExecutions {
  readonly #kept = new Map<string, NonNullable<Bust['corrected']>>()

  remember(id: string | null, { quantity, price }: NonNullable<Bust['corrected']>): void {
    if (id === null) return
    if (this.#kept.size >= EXECUTIONS_KEPT_MAX)
      this.#kept.delete(this.#kept.keys().next().value ?? '')
    this.#kept.set(id, { quantity, price })
  }

  /** `null` if the execution is not remembered. A repeated message gives the same bust again. */
  bustOf({ id, executionId, to }: Correction, at: string): Bust | null {
    const was = this.#kept.get(id)
    if (was === undefined) return null
    this.remember(executionId, to)
    return { id, ...was, corrected: to, at }
  }
}

type Refusal = 'credentials' | 'slot'

class StreamKeeper {
  readonly #create: () => VendorStream
  readonly #listener: TradeStreamListener
  readonly #timers: StreamTimers
  readonly #urgency: () => StreamUrgency
  readonly #onUnread: OnUnread
  readonly #executions = new RecentExecutions()
  #stream: VendorStream | null = null
  #attempts = 0
  #isClosed = false
  #cancelTimer: CancelTimer = () => {}
  #giveUpTurn: CancelTimer = () => {}

  constructor(
    create: () => VendorStream,
    listener: TradeStreamListener,
    timers: StreamTimers,
    urgency: () => StreamUrgency,
    onUnread: OnUnread,
  ) {
    this.#onUnread = onUnread
    this.#create = create
    this.#listener = listener
    this.#timers = timers
    this.#urgency = urgency
  }

  takeTurn(): void {
    this.#giveUpTurn = this.#timers.handshakes.wait(this.#urgency, () => this.#connect())
  }

  #connect(): void {
    const stream = this.#create()
    this.#stream = stream
    let liveSinceMs: number | null = null
    let refusal: Refusal | null = null
    let isOver = false
    const end = (message: string): void => {
      if (isOver || this.#isClosed) return
      isOver = true
      this.#cancelTimer()
      stream.disconnect()
      if (liveSinceMs !== null && this.#timers.clock.monotonicMs() - liveSinceMs >= STAYED_UP_MS)
        this.#attempts = 0
      this.#down(refusal, message)
    }
    stream.onError((message) => {
      if (liveSinceMs !== null) this.#listener.onUnreadable(message)
      else if (REFUSED.test(message)) refusal = 'credentials'
      else if (SLOT_TAKEN.test(message)) refusal = 'slot'
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
    this.#cancelTimer = this.#timers.clock.after(AUTHENTICATION_MS_MAX, () =>
      end('no answer to the authentication'),
    )
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#giveUpTurn()
    this.#cancelTimer()
    this.#stream?.disconnect()
  }

  #deliver(message: unknown): void {
    if (this.#isClosed) return
    try {
      const { isIncomplete, correction, ...update } = readTradeUpdate(message)
      noteUnread(update.order, this.#onUnread)
      const bust =
        correction === null ? update.bust : this.#executions.bustOf(correction, update.at)
      if (update.execution !== null)
        this.#executions.remember(update.execution.executionId, update.execution)
      this.#listener.onUpdate({ ...update, bust })
      if (isIncomplete || (correction !== null && bust === null))
        this.#listener.onUnreadable('an execution was amended, and what it was is not known here')
    } catch (error) {
      this.#listener.onUnreadable(error instanceof Error ? error.name : 'unreadable')
    }
  }

  #down(refusal: Refusal | null, message: string): void {
    if (refusal === 'credentials') {
      this.#listener.onDown({
        kind: 'credentials',
        message: 'API authentication failed',
        final: true,
      })
      return
    }
    const told = refusal === 'slot' ? 'the broker still counts an earlier connection' : message
    this.#listener.onDown({ kind: 'connection', message: told, final: false })
    const ceiling = Math.min(DELAY_MS_MIN * 2 ** this.#attempts, DELAY_MS_MAX)
    this.#attempts = Math.min(this.#attempts + 1, ATTEMPTS_COUNTED)
    const floor = refusal === 'slot' ? SLOT_MS : DELAY_MS_MIN
    const delayMs = floor + this.#timers.random.fraction() * ceiling
    if (!this.#isClosed)
      this.#cancelTimer = this.#timers.clock.after(delayMs, () => this.takeTurn())
  }
}
