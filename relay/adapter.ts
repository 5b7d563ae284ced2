import { RedisAdapter } from '@socket.io/redis-adapter'
import type { Redis } from 'ioredis'
import type { Namespace } from 'socket.io'
import { EVENT_ID_PATTERN, type EventMeta, userOfRoom } from '#contract'

/** What the adapter hands on instead of broadcasting it. */
export type AdapterEvents = Readonly<{
  /** An event of a user's log. */
  onLogged(room: string, event: string, payload: unknown, meta: EventMeta): void
  /** Bytes on our channel that are no packet. */
  onMalformed(room: string): void
}>

/** The vendor's private parts that are used here; the version is pinned, and tests/relay/adapter.test.ts watches them. */
type Inside = {
  readonly channel: string
  onmessage: (this: RedisAdapter, pattern: null, channel: string, message: Buffer) => void
}

const stockOnMessage = (RedisAdapter.prototype as unknown as Inside).onmessage

/**
 * The Redis adapter, with three differences: it subscribes to the rooms it has instead of to everybody's; it cannot be crashed by
 * a malformed message; and events of a user's log go to that user's streams, which know what each connection has had already.
 */
export class RoomAdapter extends RedisAdapter {
  readonly #sub: Redis
  readonly #events: AdapterEvents
  readonly #inside: Inside
  readonly #subscribed = new Map<string, Promise<unknown>>()

  constructor(namespace: Namespace, pub: Redis, sub: Redis, events: AdapterEvents) {
    super(namespace, pub, sub)
    this.#sub = sub
    this.#events = events
    this.#inside = this as unknown as Inside
    const { channel } = this.#inside
    void sub.punsubscribe(`${channel}*`)
    void sub.subscribe(channel) // messages to no room or to several
    sub.on('messageBuffer', (from: Buffer, message: Buffer) => this.#receive(from.toString(), message))
    this.on('create-room', (room: string) => {
      if (!this.sids.has(room)) this.#subscribed.set(room, sub.subscribe(`${channel}${room}#`))
    })
    this.on('delete-room', (room: string) => {
      if (this.#subscribed.delete(room)) void sub.unsubscribe(`${channel}${room}#`)
    })
  }

  /** Resolves once Redis has acknowledged the room's subscription: from then on nothing published to it is missed. */
  async subscribed(room: string): Promise<void> {
    await this.#subscribed.get(room)
  }

  #receive(channel: string, message: Buffer): void {
    const { channel: own } = this.#inside
    if (!channel.startsWith(own)) return
    const room = channel.slice(own.length, -1)
    if (room !== '' && !this.rooms.has(room)) return
    const packet = this.#decode(message)
    if (packet === null) {
      this.#events.onMalformed(room)
      return
    }
    const [event, payload, meta] = packet
    if (userOfRoom(room) !== null && isMeta(meta)) this.#events.onLogged(room, event, payload, meta)
    else stockOnMessage.call(this, null, channel, message)
  }

  /** The arguments of an emitted event, or `null` when it is not one. */
  #decode(message: Buffer): [event: string, payload: unknown, meta: unknown] | null {
    let decoded: unknown
    try {
      decoded = this.parser.decode(message)
    } catch {
      return null
    }
    if (!Array.isArray(decoded)) return null
    const [, packet, options] = decoded as unknown[]
    if (typeof packet !== 'object' || packet === null || typeof options !== 'object' || options === null) return null
    const { type, data } = packet as { type?: unknown; data?: unknown }
    const { rooms } = options as { rooms?: unknown }
    if (type !== EVENT_PACKET || !Array.isArray(data) || !Array.isArray(rooms)) return null
    const [event, payload, meta] = data as unknown[]
    return typeof event === 'string' ? [event, payload, meta] : null
  }

  /** The connections to Redis are closed by whoever opened them, right after this. */
  override close(): void {
    this.#sub.removeAllListeners('messageBuffer')
  }
}

const EVENT_PACKET = 2

const isMeta = (value: unknown): value is EventMeta =>
  typeof value === 'object' &&
  value !== null &&
  'id' in value &&
  'prev' in value &&
  typeof value.id === 'string' &&
  typeof value.prev === 'string' &&
  EVENT_ID_PATTERN.test(value.id) &&
  EVENT_ID_PATTERN.test(value.prev)
