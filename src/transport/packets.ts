import type { Socket } from 'socket.io'
import type { Clock } from '#runtime'

/** Packets of one connection, heartbeats included; a client that keeps to its 10 messages a minute needs a fraction of them. */
const PACKETS_PER_MINUTE_MAX = 120
const MINUTE_MS = 60_000

/**
 * Cuts connections that send more packets than any client needs to, whatever they are: most of them reach no handler of ours.
 * Minutes are the same for everybody; kept: the open connections that sent something in this one.
 * @returns what watches one more connection
 */
export function packetLimit(clock: Clock, onFlood: () => void): (conn: Socket['conn']) => void {
  const packets = new Map<Socket['conn'], number>()
  let untilMs = 0
  // One listener for all, which hears from the emitter whose packet it is: a function of each connection's own would be kept with it.
  function count(this: Socket['conn']): void {
    if (clock.monotonicMs() >= untilMs) {
      packets.clear()
      untilMs = clock.monotonicMs() + MINUTE_MS
    }
    const sent = (packets.get(this) ?? 0) + 1
    packets.set(this, sent)
    if (sent !== PACKETS_PER_MINUTE_MAX + 1) return
    onFlood()
    this.close(true)
  }
  function forget(this: Socket['conn']): void {
    packets.delete(this)
  }
  return (conn) => void conn.on('packet', count).on('close', forget)
}
