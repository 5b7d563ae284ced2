import { Emitter } from '@socket.io/redis-emitter'
import { type EventMeta, isEventId, type LoggedEvent, SESSION_NOTICE, userRoom } from '#contract'
import { writable } from './wire.ts'

// The emitter encodes each event with two placeholders of the width of an event id; the commit
// script, which alone knows the ids, replaces them (reference: the emitter's only call on its
// client is `publish(channel, packet)`). A packet ends with its rooms, and no user id has a brace,
// so that the last placeholder in a packet is ours.
const ID = '{{{{{{{{{{{{{-{{{{{'
const PREVIOUS = '}}}}}}}}}}}}}-}}}}}'

/**
 * An event ready for the commit script: `json` for the log, and the packet, which is `a + id + b +
 * previous id + c`.
 */
export type Packet = Readonly<{ json: string; channel: string; a: Buffer; b: Buffer; c: Buffer }>

let captured: { channel: string; packet: Buffer } | null = null
const emitter = new Emitter({
  publish(channel: string, packet: Buffer): void {
    captured = { channel, packet }
  },
})

function encode(
  userId: string,
  event: string,
  ...args: unknown[]
): { channel: string; packet: Buffer } {
  emitter.to(userRoom(userId)).emit(event, ...args)
  if (captured === null) throw new TypeError('the emitter did not publish')
  const { channel, packet } = captured
  captured = null
  return { channel, packet }
}

/** A notice to the relays that the user's sessions changed. Clients never get it. */
export const encodeNotice = (userId: string): { channel: string; packet: Buffer } =>
  encode(userId, SESSION_NOTICE, null)

/**
 * Encodes one event for its user's room, in the wire format of the Socket.IO Redis adapter, and for
 * its log.
 * @throws {EventUnwritableError}
 */
export function encodeEvent(
  userId: string,
  logged: Pick<LoggedEvent, 'event'> & Readonly<{ payload: object }>,
): Packet {
  const payload = writable(logged.payload)
  const { channel, packet } = encode(userId, logged.event, payload, { id: ID, prev: PREVIOUS })
  const id = packet.lastIndexOf(ID)
  const previous = packet.lastIndexOf(PREVIOUS)
  return {
    json: JSON.stringify(payload),
    channel,
    a: packet.subarray(0, id),
    b: packet.subarray(id + ID.length, previous),
    c: packet.subarray(previous + PREVIOUS.length),
  }
}

/** The content of an event: its name, its payload, and its position in the log if it has one. */
export type PacketData = [event: string, payload: unknown, meta?: EventMeta]

/** The packet type of an event in the emitter's format. */
const EVENT_PACKET = 2

type Unread<Fields extends string> = Readonly<Partial<Record<Fields, unknown>>> | null | undefined

/**
 * Reads a decoded message of a room's channel; `null` if it is not an event for exactly this room.
 * The checks are written by hand, because they run for every event: a schema takes longer than the
 * rest of the work.
 */
export function readPacket(decoded: unknown, room: string): PacketData | null {
  if (!Array.isArray(decoded) || decoded.length !== 3 || typeof decoded[0] !== 'string') return null
  const packet = decoded[1] as Unread<'type' | 'data' | 'nsp'>
  const to = decoded[2] as Unread<'rooms' | 'except' | 'flags'>
  const isForRoom = packet?.type === EVENT_PACKET && packet.nsp === '/' && isOnlyFor(room, to)
  return isForRoom && isEvent(packet.data) ? packet.data : null
}

function isEvent(data: unknown): data is PacketData {
  if (!Array.isArray(data) || data.length < 2 || data.length > 3 || typeof data[0] !== 'string')
    return false
  const meta = data[2] as Unread<'id' | 'prev'>
  return meta === undefined || (isEventId(meta?.id) && isEventId(meta?.prev))
}

function isOnlyFor(room: string, to: Unread<'rooms' | 'except' | 'flags'>): boolean {
  const { rooms, except = [], flags = {} } = to ?? {}
  const isRoom = Array.isArray(rooms) && rooms.length === 1 && rooms[0] === room
  return (
    isRoom &&
    Array.isArray(except) &&
    except.length === 0 &&
    typeof flags === 'object' &&
    flags !== null
  )
}
