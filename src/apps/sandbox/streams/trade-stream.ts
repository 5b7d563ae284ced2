import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import type { Order } from '../broker/order.ts'
import type { Randomness } from '../randomness.ts'
import type { StreamFaults } from '../faults/stream-faults.ts'
import type { Json } from '../http/shapes.ts'
import { callerOf, credentialsOfMessage } from './credentials.ts'
import { openStreamSocket, type StreamSocket } from './stream-socket.ts'
import { type TradeEvent, type TradeUpdate, tradeUpdateJson } from './trade-update.ts'

/**
 * `/stream`: trade updates of one account. A socket is connected, then authenticated (with keys or
 * a token), then listening. There is no welcome frame. Frames are binary with JSON text inside, as
 * on paper. There is no replay: a socket that was not listening has missed the event.
 */
const CHANNEL = 'trade_updates'
const CARRY_EXECUTION: ReadonlySet<TradeEvent> = new Set([
  'fill',
  'partial_fill',
  'trade_bust',
  'trade_correct',
])

type Session = { readonly stream: StreamSocket; account: Account | undefined }

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const send = ({ stream }: Session, frame: Json): void =>
  stream.send(Buffer.from(JSON.stringify(frame)), true)

const authorization = (
  session: Session,
  status: 'authorized' | 'unauthorized',
  action: string,
): void => send(session, { stream: 'authorization', data: { status, action } })

function parseMessage(data: Buffer): Record<string, unknown> | undefined {
  try {
    const message: unknown = JSON.parse(data.toString('utf8'))
    return isObject(message) ? message : undefined
  } catch {
    return undefined
  }
}

/** All trade stream sockets of the server. */
export class TradeStream {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #faults: StreamFaults
  readonly #ids: Randomness
  readonly #sessions = new Set<Session>()
  readonly #listeners = new Map<Account, Set<Session>>()

  constructor(broker: Broker, clock: Clock, faults: StreamFaults) {
    this.#broker = broker
    this.#clock = clock
    this.#faults = faults
    this.#ids = broker.randomness.fork('told events')
    broker.onUpdate((update) => this.#publish(update))
  }

  get size(): number {
    return this.#sessions.size
  }

  accept(socket: WebSocket, request: IncomingMessage): void {
    openStreamSocket(socket, request, this.#clock, (stream) => {
      const session: Session = { stream, account: undefined }
      this.#sessions.add(session)
      return {
        onMessage: (data) => this.#onMessage(session, data),
        onAuthenticationTimeout: () => stream.close(1008, 'authentication timeout'),
        onClose: () => {
          this.#setListening(session, false)
          this.#sessions.delete(session)
        },
      }
    })
  }

  /** Cuts the sockets of one key, or all sockets; returns how many. */
  cut(keyId?: string): number {
    const hit = [...this.#sessions].filter(
      ({ stream }) => keyId === undefined || stream.keyId === keyId,
    )
    hit.forEach(({ stream }) => stream.cut())
    return hit.length
  }

  /**
   * Sends listeners an event that did not happen in the order book, about the current state of an
   * order. An event with an execution repeats the order's last execution.
   * @throws {RangeError} the order has no execution
   */
  tell(account: Account, order: Order, event: TradeEvent): void {
    const told = { event, eventId: this.#broker.stamps.ulid(), at: order.updatedAt, account, order }
    const last = CARRY_EXECUTION.has(event)
      ? account.executions.findLast((own) => own.orderId === order.id)
      : undefined
    if (last === undefined && CARRY_EXECUTION.has(event)) {
      throw new RangeError(`the order has no execution that ${event} could tell of: fill it first`)
    }
    const id = this.#ids.uuid()
    if (last === undefined) return this.#publish({ ...told, executionId: id })
    // A correction is an execution of its own and names the execution it replaces; a repeat is the
    // same execution again.
    const execution = event === 'trade_correct' ? { ...last, id, corrects: last.id } : last
    this.#publish({ ...told, executionId: execution.id, execution })
  }

  #publish(update: TradeUpdate): void {
    const listening = this.#listeners.get(update.account)
    if (listening === undefined) return
    const json = JSON.stringify({ stream: CHANNEL, data: tradeUpdateJson(update) })
    const frame = Buffer.from(json)
    const sockets = [...listening].map(({ stream }) => stream)
    this.#faults.deliver({ stream: 'trade', account: update.account, sockets }, (stream, asText) =>
      stream.send(asText ? json : frame, !asText),
    )
  }

  #onMessage(session: Session, data: Buffer): void {
    const message = parseMessage(data)
    const action = message?.['action']
    if (message !== undefined && (action === 'authenticate' || action === 'auth'))
      this.#authenticate(session, message)
    else if (message !== undefined && (action === 'listen' || action === 'unlisten'))
      this.#listen(session, message, action)
    else send(session, { action: 'error', data: { error_message: 'invalid syntax' } })
  }

  #authenticate(session: Session, message: Record<string, unknown>): void {
    const caller = callerOf(this.#broker, credentialsOfMessage(message))
    if (caller === undefined || this.#faults.rejectsAuthentication('trade', caller.account)) {
      return authorization(session, 'unauthorized', 'authenticate')
    }
    const { keyId, account } = caller
    if (session.account !== account) this.#setListening(session, false)
    session.account = account
    session.stream.authenticated(keyId)
    authorization(session, 'authorized', 'authenticate')
  }

  /** `listen` replaces the channels; `unlisten`, which some clients send, removes channels. */
  #listen(session: Session, message: Record<string, unknown>, action: 'listen' | 'unlisten'): void {
    if (session.account === undefined) return authorization(session, 'unauthorized', 'listen')
    const wanted = isObject(message['data']) ? message['data']['streams'] : undefined
    const named = Array.isArray(wanted) && wanted.includes(CHANNEL)
    const listening =
      action === 'listen'
        ? named
        : !named && this.#listeners.get(session.account)?.has(session) === true
    this.#setListening(session, listening)
    send(session, { stream: 'listening', data: { streams: listening ? [CHANNEL] : [] } })
  }

  #setListening(session: Session, listening: boolean): void {
    if (session.account === undefined) return
    const own = this.#listeners.get(session.account) ?? new Set()
    if (listening) this.#listeners.set(session.account, own.add(session))
    else if (own.delete(session) && own.size === 0) this.#listeners.delete(session.account)
  }
}
