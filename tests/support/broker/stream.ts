import type { Clock } from '#runtime'
import type {
  ActivityEvent,
  ActivityStream,
  ActivityStreamListener,
  StreamUpdate,
  TradeStream,
  TradeStreamListener,
} from '../../../workers/broker/port.ts'

/**
 * The trade stream of the account. It sends updates from now on, and each update once, unless a
 * test changes that. Updates while a listener is down are never sent to that listener.
 */
export class TradeStreams {
  /** The listeners that are subscribed now. */
  readonly live = new Set<TradeStreamListener>()
  /** If true, the stream is connected and answers, but sends no update. */
  isMute = false
  /**
   * Handshakes are refused; the refusal is that of credentials, of a busy slot, or of a broker that
   * is away.
   */
  refusal: 'credentials' | 'connection' | null = null
  /**
   * How long a listener waits before its next handshake. Without a clock it comes back at
   * `reconnect()`.
   */
  reconnectMs = 1_000
  handshakes = 0
  #dropped = 0
  #copies = 1
  #held: StreamUpdate[] | null = null
  /** With whether the credentials of a listener are refused. */
  readonly #open = new Map<TradeStreamListener, () => boolean>()
  readonly #clock: Clock | null

  constructor(clock: Clock | null) {
    this.#clock = clock
  }

  /**
   * @param isRefused whether the credentials that it comes with are refused, beside `refusal`,
   *   which is for all
   */
  open(listener: TradeStreamListener, isRefused: () => boolean = () => false): TradeStream {
    this.#open.set(listener, isRefused)
    queueMicrotask(() => this.#connect(listener))
    return {
      close: async () => {
        this.#open.delete(listener)
        this.live.delete(listener)
      },
    }
  }

  tell(update: StreamUpdate): void {
    if (this.isMute) return
    if (this.#dropped > 0) return void (this.#dropped -= 1)
    if (this.#held !== null) return void this.#held.push(update)
    for (let copy = 0; copy < this.#copies; copy += 1) this.send(update)
  }

  /** Sends an update now, without the faults: a late or repeated message. */
  send(update: StreamUpdate): void {
    for (const listener of [...this.live]) listener.onUpdate(update)
  }

  /** The next messages are lost; the stream stays up. */
  drop(count = 1): void {
    this.#dropped += count
  }

  /** From now on each message is sent this often. */
  repeat(copies: number): void {
    this.#copies = copies
  }

  /** Keeps messages back until `release`. */
  hold(): void {
    this.#held ??= []
  }

  /** Sends the held messages, in the order that `arrange` returns; default: in their order. */
  release(
    arrange: (updates: readonly StreamUpdate[]) => readonly StreamUpdate[] = (updates) => updates,
  ): void {
    const held = this.#held ?? []
    this.#held = null
    for (const update of arrange(held)) this.send(update)
  }

  /** A message that cannot be read. */
  garble(why = 'not JSON'): void {
    for (const listener of [...this.live]) listener.onUnreadable(why)
  }

  /** Closes every stream. They come back after `reconnectMs`, as long as nothing refuses them. */
  cut(message = 'the stream was closed'): void {
    for (const listener of [...this.live]) {
      this.live.delete(listener)
      listener.onDown({ kind: 'connection', message, final: false })
      this.#later(listener)
    }
  }

  /** Listeners that are down reconnect now. */
  reconnect(): void {
    for (const listener of [...this.#open.keys()])
      if (!this.live.has(listener)) this.#connect(listener)
  }

  #connect(listener: TradeStreamListener): void {
    const isRefused = this.#open.get(listener)
    if (isRefused === undefined || this.live.has(listener)) return
    this.handshakes += 1
    if (this.refusal === 'credentials' || isRefused()) {
      this.#open.delete(listener)
      listener.onDown({ kind: 'credentials', message: 'API authentication failed', final: true })
    } else if (this.refusal === 'connection') {
      listener.onDown({
        kind: 'connection',
        message: 'the broker refused the connection',
        final: false,
      })
      this.#later(listener)
    } else {
      this.live.add(listener)
      listener.onLive()
    }
  }

  #later(listener: TradeStreamListener): void {
    this.#clock?.after(this.reconnectMs, () => this.#connect(listener))
  }
}

/**
 * The replayable stream of activities. A stream that is opened with an event id first gets all
 * later events.
 */
export class ActivityStreams {
  /** True if the account has an activity stream. */
  isOffered = false
  readonly #log: ActivityEvent[] = []
  readonly #live = new Set<ActivityStreamListener>()

  append(
    told: ActivityEvent extends infer Event
      ? Event extends ActivityEvent
        ? Omit<Event, 'id'>
        : never
      : never,
  ): void {
    const event = {
      ...told,
      id: `e-${String(this.#log.length + 1).padStart(8, '0')}`,
    } as ActivityEvent
    this.#log.push(event)
    for (const listener of [...this.#live]) listener.onActivity(event)
  }

  open(sinceId: string | null, listener: ActivityStreamListener): ActivityStream {
    queueMicrotask(() => {
      if (!this.isOffered) return listener.onUnavailable()
      listener.onLive()
      if (sinceId !== null)
        for (const event of this.#log) if (event.id > sinceId) listener.onActivity(event)
      this.#live.add(listener)
    })
    return { close: async () => void this.#live.delete(listener) }
  }

  cut(): void {
    for (const listener of [...this.#live])
      listener.onDown({ kind: 'connection', message: 'the stream was closed', final: false })
    this.#live.clear()
  }
}
