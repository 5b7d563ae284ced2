import { createLogger, isoTime, Metrics } from '#runtime'
import type { EventPosition, SyncType } from '#contract'
import type { Reader } from '#store'
import { Outage } from '#transport'
import { createRelayMetrics } from '../../../relay/context.ts'
import type { EventSink, Logged } from '../../../relay/event-sink.ts'
import {
  CHECK_MS_MIN,
  CHECK_MS_SPREAD,
  type StreamDeps,
  UserStream,
} from '../../../relay/user-stream.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { ModelClient } from './client.ts'
import type { Hearing } from './hearing.ts'
import { logReader } from './log-reader.ts'
import type { Process } from './process.ts'

/** A planted defect between a stream and its inputs and outputs. */
export type RelayDefect = Readonly<{
  reader?: (reader: Reader) => Reader
  outlet?: (outlet: EventSink, userId: string) => EventSink
  received?: (logged: Logged, userId: string) => Logged
}>

/**
 * The longest time from connecting to a position in the log. A slower connection is closed, and its
 * client reconnects.
 */
const ENTERING_MS_MAX = 5_000
/** The time until a client reconnects after a relay closed its connection. */
const AWAY_MS = 1_000
/** The share of checks that are made for a connection that already has all events. */
const IDLE_CHECKS = 0.1
const log = createLogger('relay', 'silent')
const metrics = createRelayMetrics(new Metrics(false))

/** The subscription to the channel of one user at one relay, and the connections in its room. */
type Room = { isSubscribed: boolean; readonly connections: Set<Connection> }

/**
 * One relay: a process with rooms, each with the connections of one user, and a production
 * `UserStream` for each connection. It treats streams as `Clients` and the adapter do: first the
 * room, then the subscription, then the position in the log, and a check from time to time.
 */
export class ModelRelay {
  readonly process: Process
  readonly store: FakeStore
  readonly #defect: RelayDefect
  readonly #deps: StreamDeps
  readonly #sub: { subscribe(userId: string): Promise<void> }
  readonly #rooms = new Map<string, Room>()
  /** Connections that are in a room or will enter one. */
  readonly #connections = new Set<Connection>()
  /** The link of the subscriptions is down: the relay gets no publications. */
  isDeaf = false

  constructor(process: Process, store: FakeStore, defect: RelayDefect) {
    this.process = process
    this.store = store
    this.#defect = defect
    const readsOn = (): Promise<void> => process.enter('reading', 'reader reads on', () => {})
    const reader = process.door('reader', logReader(store, readsOn), true)
    const { clock } = process
    this.#deps = {
      clock,
      log,
      metrics,
      reader: defect.reader?.(reader) ?? reader,
      outage: new Outage(clock, log),
    }
    const subscribe = async (userId: string): Promise<void> => {
      const room = this.#rooms.get(userId)
      if (room !== undefined) room.isSubscribed = true
    }
    this.#sub = process.door('sub', { subscribe }, true)
    process.onDeath(() => {
      for (const connection of this.#connections) connection.end(AWAY_MS)
    })
  }

  /** True if publications for this user reach this relay. */
  hears(userId: string): boolean {
    return (
      !this.isDeaf &&
      this.process.state !== 'dead' &&
      this.#rooms.get(userId)?.isSubscribed === true
    )
  }

  connect(client: ModelClient, hearing: Hearing, lastEventId: unknown): Connection {
    const connection = new Connection(this, client, hearing, this.#deps, this.#defect)
    this.#connections.add(connection)
    void this.process.enter(`client ${client.userId}`, 'relay.connect', () => {
      // As in `Clients.welcome`: a client that cannot be admitted reconnects.
      this.#admit(connection, lastEventId).catch(() => connection.end(AWAY_MS))
    })
    return connection
  }

  async #admit(connection: Connection, lastEventId: unknown): Promise<void> {
    const { userId } = connection.client
    if (!connection.isOpen()) return
    const room = this.#rooms.get(userId) ?? { isSubscribed: false, connections: new Set() }
    this.#rooms.set(userId, room)
    room.connections.add(connection)
    if (!room.isSubscribed) await this.#sub.subscribe(userId)
    await connection.begin(lastEventId)
  }

  leave(connection: Connection): void {
    this.#connections.delete(connection)
    const { userId } = connection.client
    const room = this.#rooms.get(userId)
    room?.connections.delete(connection)
    if (room?.connections.size === 0) this.#rooms.delete(userId)
  }

  /** An event of a user's log, from Redis. */
  receive(userId: string, given: Logged): void {
    const logged = this.#defect.received?.(given, userId) ?? given
    for (const { stream } of this.#rooms.get(userId)?.connections ?? []) stream.receive(logged)
  }

  /** The link to Redis was down: events published in the meantime are read from the log. */
  checkAll(): void {
    for (const { connections } of this.#rooms.values())
      for (const { stream } of connections) void stream.check()
  }
}

/** One connection of a client to a relay. Once closed, it is in no room and sends no event. */
export class Connection implements EventSink {
  readonly client: ModelClient
  readonly hearing: Hearing
  readonly stream: UserStream
  readonly #relay: ModelRelay
  readonly #clock: StreamDeps['clock']
  #isOpen = true
  #cancelCheck = (): void => {}

  constructor(
    relay: ModelRelay,
    client: ModelClient,
    hearing: Hearing,
    deps: StreamDeps,
    { outlet }: RelayDefect,
  ) {
    this.client = client
    this.hearing = hearing
    this.#relay = relay
    this.#clock = deps.clock
    this.stream = new UserStream(deps, client.userId, outlet?.(this, client.userId) ?? this)
  }

  async begin(lastEventId: unknown): Promise<void> {
    if (!this.#isOpen) return
    const giveUp = this.#clock.after(ENTERING_MS_MAX, () => this.end(AWAY_MS))
    await this.stream.start(lastEventId, (position) => {
      giveUp()
      this.hearing.placed(position, lastEventId)
      const { userId } = this.client
      const said = { userId, sessionId: 'ws_', timestamp: isoTime(this.#clock.now()) }
      const at = position === null ? undefined : { id: position }
      this.client.take(this, { event: 'connection.authorized', payload: said, at })
      this.#planCheck()
    })
  }

  #planCheck(): void {
    const afterMs = CHECK_MS_MIN + this.#relay.process.random.fraction() * CHECK_MS_SPREAD
    this.#cancelCheck = this.#clock.after(afterMs, () => {
      if (this.#mayFindSomething()) void this.stream.check()
      this.#planCheck()
    })
  }

  /** True if to make a check: most would find no event, so only a share of those is made. */
  #mayFindSomething(): boolean {
    const { userId } = this.client
    return (
      !this.hearing.isAt(this.#relay.store.lastEventId(userId)) ||
      this.#relay.process.random.fraction() < IDLE_CHECKS
    )
  }

  requestSync(
    types: readonly SyncType[] | undefined,
    answer: (given: 'sent' | 'owed' | 'busy') => void,
  ): void {
    void this.#relay.process.enter(`client ${this.client.userId}`, 'relay.requestSync', () => {
      if (this.#isOpen) void this.stream.sync(types).then((given) => this.#isOpen && answer(given))
    })
  }

  /** The relay closes the connection; the client reconnects. */
  end(afterMs: number): void {
    this.close()
    this.client.closed(this, afterMs)
  }

  close(): void {
    this.#isOpen = false
    this.#cancelCheck()
    this.#relay.leave(this)
  }

  isOpen(): boolean {
    return this.#isOpen
  }

  isBehind(): boolean {
    return this.client.isBehind()
  }

  tell(event: 'state.resync' | 'state.sync', payload: object, at?: EventPosition): void {
    if (!this.#isOpen) return
    if (event === 'state.resync') this.hearing.resynced(payload)
    else this.hearing.synced(payload, at)
    this.client.take(this, { event, payload, at })
  }

  deliver(logged: Logged, isPlace: boolean): void {
    if (!this.#isOpen) return
    this.hearing.delivered(logged, isPlace)
    this.client.take(this, {
      event: logged.event,
      payload: logged.payload as object,
      at: isPlace ? logged.meta : undefined,
    })
  }
}
