import type { CancelTimer } from '#runtime'
import type { BrokerCredentials } from '#store'
import type { ActivityStream, ActivityStreamListener, StreamUrgency } from '../port.ts'
import { type SseItem, SseParser } from './sse.ts'
import type { StreamTimers } from './trade-stream.ts'
import { readActivityEvent } from './wire.ts'

/**
 * Keeps one account's stream of activities (`/v2beta1/events/activities`) open without a gap: each
 * reconnect starts at the last event that was delivered. We have our own client, because the SDK's
 * call waits for the end of a stream that never ends.
 *
 * The last event is only in memory: after a restart or a change of owner, the stream starts at the
 * present. No booking is lost, because no booking comes from this stream: it only makes a session
 * read earlier. The session's refresh reads the same data every minute, each list from the time in
 * the account's record: orders and executions (`executionsReadTo`), money and corporate actions
 * (`activitiesReadTo`), and orders with busted executions by their totals
 * (tests/scenarios/activity-gaps.test.ts).
 *
 *   waiting --its turn--> opening --200--> live --closed, silent--> waiting ...
 *                            |  401: down, final     403, 404: no such stream, final
 *                            |  close(): closed, final
 */
const OPENING_MS_MAX = 10_000
/** The longest silence; the stream sends a heartbeat every 15 s. */
const SILENCE_MS_MAX = 45_000
const DELAY_MS_MIN = 1_000
const DELAY_MS_MAX = 60_000
const ATTEMPTS_COUNTED = 10

/** The comment that the stream sends when it lost events. */
const DROPPED = /dropped \d+ message/i

/** Opens the response: the status and the unread body. */
export type OpenEvents = (
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<Readonly<{ status: number; body: AsyncIterable<Uint8Array> }>>

const headersOf = (credentials: BrokerCredentials): Readonly<Record<string, string>> =>
  'accessToken' in credentials
    ? { authorization: `Bearer ${credentials.accessToken}` }
    : { 'apca-api-key-id': credentials.keyId, 'apca-api-secret-key': credentials.secretKey }

export function openActivityStream(
  open: OpenEvents,
  credentials: BrokerCredentials,
  sinceId: string | null,
  listener: ActivityStreamListener,
  timers: StreamTimers,
  urgency: () => StreamUrgency = () => 'idle',
): ActivityStream {
  const keeper = new ActivityKeeper(open, credentials, sinceId, listener, timers, urgency)
  keeper.takeTurn()
  return { close: () => keeper.close() }
}

class ActivityKeeper {
  readonly #open: OpenEvents
  readonly #credentials: BrokerCredentials
  readonly #listener: ActivityStreamListener
  readonly #timers: StreamTimers
  readonly #urgency: () => StreamUrgency
  #sinceId: string | null
  #attempts = 0
  #isClosed = false
  #abort: AbortController | null = null
  #running: Promise<void> = Promise.resolve()
  #cancelWait: CancelTimer = () => {}

  constructor(
    open: OpenEvents,
    credentials: BrokerCredentials,
    sinceId: string | null,
    listener: ActivityStreamListener,
    timers: StreamTimers,
    urgency: () => StreamUrgency,
  ) {
    this.#open = open
    this.#credentials = credentials
    this.#sinceId = sinceId
    this.#listener = listener
    this.#timers = timers
    this.#urgency = urgency
  }

  takeTurn(): void {
    this.#cancelWait = this.#timers.handshakes.wait(
      this.#urgency,
      () => void (this.#running = this.#run()),
    )
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelWait()
    this.#abort?.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const abort = new AbortController()
    this.#abort = abort
    let cancelTimer = this.#timers.clock.after(OPENING_MS_MAX, () => abort.abort())
    const heard = (): void => {
      cancelTimer()
      cancelTimer = this.#timers.clock.after(SILENCE_MS_MAX, () => abort.abort())
    }
    let why = 'the stream was closed'
    try {
      const since = this.#sinceId === null ? '' : `?since_id=${encodeURIComponent(this.#sinceId)}`
      const { status, body } = await this.#open(
        `/v2beta1/events/activities${since}`,
        headersOf(this.#credentials),
        abort.signal,
      )
      if (status === 200) await this.#read(body, heard)
      else {
        abort.abort()
        if (this.#isFinal(status)) return
        why = `status ${status}`
      }
    } catch (error) {
      why = error instanceof Error ? error.name : 'error'
    } finally {
      cancelTimer()
    }
    this.#again(why)
  }

  async #read(body: AsyncIterable<Uint8Array>, heard: () => void): Promise<void> {
    const parser = new SseParser()
    heard()
    this.#listener.onLive()
    for await (const chunk of body) {
      if (this.#isClosed) return
      heard()
      this.#attempts = 0
      for (const item of parser.read(chunk)) this.#tell(item)
    }
  }

  /** Delivers an event once. An unreadable or incomplete event is a gap. */
  #tell({ kind, text }: SseItem): void {
    if (kind === 'comment') {
      if (DROPPED.test(text)) this.#listener.onGap(text.slice(0, 200))
      return
    }
    const event = readActivityEvent(text)
    if (event !== null && this.#sinceId !== null && event.id <= this.#sinceId) return
    this.#sinceId = event?.id ?? this.#sinceId
    if (event?.told == null) this.#listener.onGap('an activity could not be read')
    else this.#listener.onActivity({ id: event.id, ...event.told })
  }

  #isFinal(status: number): boolean {
    if (this.#isClosed) return true
    if (status === 401)
      this.#listener.onDown({
        kind: 'credentials',
        message: 'API authentication failed',
        final: true,
      })
    else if (status === 403 || status === 404) this.#listener.onUnavailable()
    else return false
    return true
  }

  #again(why: string): void {
    if (this.#isClosed) return
    this.#listener.onDown({ kind: 'connection', message: why, final: false })
    const ceiling = Math.min(DELAY_MS_MIN * 2 ** this.#attempts, DELAY_MS_MAX)
    this.#attempts = Math.min(this.#attempts + 1, ATTEMPTS_COUNTED)
    const delayMs = DELAY_MS_MIN + this.#timers.random.fraction() * ceiling
    this.#cancelWait = this.#timers.clock.after(delayMs, () => this.takeTurn())
  }
}
