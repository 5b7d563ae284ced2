import { Emitter } from '@socket.io/redis-emitter'
import { type LoggedEvent, SESSION_NOTICE, userRoom } from '#contract'

// The emitter encodes each event with two placeholders of the width of an event id; the commit script, which alone knows the ids,
// puts them in (reference: the emitter's only call on its client is `publish(channel, packet)`).
const ID = '#############-#####'
const PREVIOUS = '@@@@@@@@@@@@@-@@@@@'

/** An event ready for the commit script: the packet is `a + id + b + previous id + c`. */
export type Packet = Readonly<{ channel: string; a: Buffer; b: Buffer; c: Buffer }>

let captured: { channel: string; packet: Buffer } | null = null
const emitter = new Emitter({
  publish(channel: string, packet: Buffer): void {
    captured = { channel, packet }
  },
})

function encode(userId: string, event: string, ...args: unknown[]): { channel: string; packet: Buffer } {
  emitter.to(userRoom(userId)).emit(event, ...args)
  if (captured === null) throw new TypeError('the emitter did not publish')
  const { channel, packet } = captured
  captured = null
  return { channel, packet }
}

/** Tells the relays that something changed about the user's sessions. No client ever gets it. */
export const encodeNotice = (userId: string): { channel: string; packet: Buffer } =>
  encode(userId, SESSION_NOTICE, null)

/** Encodes one event for its user's room, in the wire format of the Socket.IO Redis adapter. */
export function encodeEvent(userId: string, { event, payload }: LoggedEvent): Packet {
  const { channel, packet } = encode(userId, event, payload, { id: ID, prev: PREVIOUS })
  const id = packet.lastIndexOf(ID)
  const previous = packet.lastIndexOf(PREVIOUS)
  return {
    channel,
    a: packet.subarray(0, id),
    b: packet.subarray(id + ID.length, previous),
    c: packet.subarray(previous + PREVIOUS.length),
  }
}
