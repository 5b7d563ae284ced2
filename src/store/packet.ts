import { Emitter } from '@socket.io/redis-emitter'
import { type LoggedEvent, userRoom } from '#contract'

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

/** Encodes one event for its user's room, in the wire format of the Socket.IO Redis adapter. */
export function encodeEvent(userId: string, { event, payload }: LoggedEvent): Packet {
  emitter.to(userRoom(userId)).emit(event, payload, { id: ID, prev: PREVIOUS })
  if (captured === null) throw new TypeError('the emitter did not publish')
  const { channel, packet } = captured
  captured = null
  const id = packet.lastIndexOf(ID)
  const previous = packet.lastIndexOf(PREVIOUS)
  return {
    channel,
    a: packet.subarray(0, id),
    b: packet.subarray(id + ID.length, previous),
    c: packet.subarray(previous + PREVIOUS.length),
  }
}
