import { RedisAdapter } from '@socket.io/redis-adapter'
import type { Redis } from 'ioredis'
import type { Namespace } from 'socket.io'
import { type EventMeta, serverEvents, SESSION_NOTICE, userOfRoom } from '#contract'
import { readPacket } from '#store'

/** Callbacks for the messages that the adapter passes on instead of broadcasting them. */
export type AdapterEvents = Readonly<{
  /** An event of a user's log. */
  onLogged(room: string, event: string, payload: unknown, meta: EventMeta): void
  /** An event of a room that belongs to no user: only the newest event matters. */
  onVolatile(room: string, event: string, payload: unknown): void
  /** A notice that the sessions of the room's user changed. */
  onNotice(room: string): void
  /** Bytes on our channel that are not a packet. */
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
 * The Redis adapter, with three differences:
 * - It subscribes to the rooms that it has, instead of to the rooms of all users.
 * - It passes on only events that the contract knows, and only to the room of their channel: a
 *   message can neither crash the relay nor reach another room, even if its content is malformed.
 * - Events of a user's log go to that user's streams, which know the position of each connection.
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
    // Drops the vendor's subscriptions to all rooms and to requests between relays: this relay
    // sends no requests to other relays.
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
    acknowledged.catch(ignore) // only a caller of `subscribed` needs the error
    this.#subscribed.set(room, acknowledged)
  }

  /**
   * Resolves once Redis has acknowledged the room's subscription: from then on no message published
   * to the room is missed.
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
   * Returns an event for exactly this room, or `null` for any other message. Rooms of users carry
   * logged events and notices only.
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

  /** Stops receiving. The owner of the connections to Redis closes them right after this. */
  override close(): void {
    this.#sub.removeAllListeners('messageBuffer')
  }
}

/**
 * For calls that fail only because their connection is gone: then the subscriptions are gone too.
 */
export const ignore = (): void => {}
