import type { Socket } from 'socket.io'
import type { Clock } from '#runtime'

/** Packets of one connection, heartbeats included; a client that keeps to its 10 messages a minute needs a fraction of them. */
const PACKETS_PER_MINUTE_MAX = 120
const MINUTE_MS = 60_000

/** Cuts a connection that sends more packets than any client needs to, whatever they are: most of them reach no handler of ours. */
export function limitPackets(conn: Socket['conn'], clock: Clock, onFlood: () => void): void {
  let packets = 0
  let untilMs = clock.monotonicMs() + MINUTE_MS
  conn.on('packet', () => {
    if (clock.monotonicMs() >= untilMs) {
      packets = 0
      untilMs = clock.monotonicMs() + MINUTE_MS
    }
    packets += 1
    if (packets !== PACKETS_PER_MINUTE_MAX + 1) return
    onFlood()
    conn.close(true)
  })
}
