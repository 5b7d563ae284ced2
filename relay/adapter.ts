import { RedisAdapter } from '@socket.io/redis-adapter'
import type { Redis } from 'ioredis'
import type { Namespace } from 'socket.io'
import { type EventMeta, serverEvents, SESSION_NOTICE, userOfRoom } from '#contract'
import { readPacket } from '#store'

/** What the adapter hands on instead of broadcasting it. */
export type AdapterEvents = Readonly<{
  /** An event of a user's log. */
  onLogged(room: string, event: string, payload: unknown, meta: EventMeta): void
  /** An event of a room of no user: only the newest matters. */
  onVolatile(room: string, event: string, payload: unknown): void
  /** Something changed about the sessions of the room's user. */
  onNotice(room: string): void
  /** Bytes on our channel that are no packet. */
  onMalformed(room: string): void
}>

/**
 * The vendor's private parts that are used here; the version is pinned, and
 * tests/relay/adapter.test.ts watches them.
 */
type Inside = {
  readonly channel: string
  readonly requestChannel: string
  readonly responseChannel: string
  readonly specificResponseChannel: string
}

/**
 * The Redis adapter, with three differences. It subscribes to the rooms it has instead of to
 * everybody's. It hands on only what the contract knows and only to the room of the channel it came
 * by: a message can neither crash it nor reach anybody else, whatever it says inside. And events of
 * a user's log go to that user's streams, which know what each connection has had already.
 */
export class RoomAdapter extends RedisAdapter {
  readonly #sub: Redis
  readonly #events: AdapterEvents
  readonly #channel: string
  readonly #subscribed = new Map<string, Promise<unknown>>()

  /** @param sub a connection of this adapter's own */
  constructor(namespace: Namespace, pub: Redis, sub: Redis, events: AdapterEvents) {
    super(namespace, pub, sub)
    this.#sub = sub
    this.#events = events
    const { channel, requestChannel, responseChannel, specificResponseChannel } =
      this as unknown as Inside
    this.#channel = channel
    // Neither everybody's rooms nor requests between relays: nothing here asks other relays for
    // anything.
    sub.removeAllListeners('pmessageBuffer').removeAllListeners('messageBuffer')
    sub.punsubscribe(`${channel}*`).catch(ignore)
    sub.unsubscribe(requestChannel, responseChannel, specificResponseChannel).catch(ignore)
    sub.on('messageBuffer', (from: Buffer, message: Buffer) =>
      this.#receive(from.toString(), message),
    )
    this.on('create-room', (room: string) => {
      if (!this.sids.has(room)) this.#subscribe(room)
    })
    this.on('delete-room', (room: string) => {
      if (this.#subscribed.delete(room)) sub.unsubscribe(`${this.#channel}${room}#`).catch(ignore)
    })
  }

  #subscribe(room: string): void {
    const acknowledged = this.#sub.subscribe(`${this.#channel}${room}#`)
    acknowledged.catch(ignore) // only who waits for it cares
    this.#subscribed.set(room, acknowledged)
  }

  /**
   * Resolves once Redis has acknowledged the room's subscription: from then on nothing published to
   * it is missed.
   */
  async subscribed(room: string): Promise<void> {
    await this.#subscribed.get(room)
  }

  #receive(channel: string, message: Buffer): void {
    const room = channel.slice(this.#channel.length, -1)
    if (!channel.startsWith(this.#channel) || !this.rooms.has(room)) return
    const packet = this.#decode(room, message)
    if (packet === null) this.#events.onMalformed(room)
    else if (packet.event === SESSION_NOTICE) this.#events.onNotice(room)
    else if (packet.meta !== null)
      this.#events.onLogged(room, packet.event, packet.payload, packet.meta)
    else this.#events.onVolatile(room, packet.event, packet.payload)
  }

  /**
   * An event for exactly this room, or `null` when it is anything else. Users' rooms carry logged
   * events and notices only.
   */
  #decode(
    room: string,
    message: Buffer,
  ): { event: string; payload: unknown; meta: EventMeta | null } | null {
    let decoded: unknown
    try {
      decoded = this.parser.decode(message)
    } catch {
      return null
    }
    const data = readPacket(decoded, room)
    if (data === null) return null
    const [event, payload, meta = null] = data
    const isOfUser = userOfRoom(room) !== null
    const isNotice = event === SESSION_NOTICE && isOfUser && meta === null
    const isKnown = isOfUser === (meta !== null) && Object.hasOwn(serverEvents, event)
    return isNotice || isKnown ? { event, payload, meta } : null
  }

  /** The connections to Redis are closed by whoever opened them, right after this. */
  override close(): void {
    this.#sub.removeAllListeners('messageBuffer')
  }
}

/** For what fails only because its connection is gone: then there are no subscriptions either. */
export const ignore = (): void => {}
