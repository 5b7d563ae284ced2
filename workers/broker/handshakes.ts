import type { Clock } from '#runtime'
import { STREAM_URGENCIES, type StreamUrgency } from './port.ts'

/**
 * Spreads the handshakes of all trade streams of this process over time: when a broker comes back,
 * every account needs its stream at once (CON-02, MUL-04). Handshakes are evenly spaced; the most
 * urgent account goes first, and among equally urgent accounts the longest waiting.
 */
const HANDSHAKES_PER_SECOND_MAX = 20

type Waiting = Readonly<{ urgency: () => StreamUrgency; run: () => void }>

export class HandshakeGate {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #waiting = new Set<Waiting>()
  #nextAtMs = Number.NEGATIVE_INFINITY
  #isTimed = false

  constructor(clock: Clock, perSecondMax: number = HANDSHAKES_PER_SECOND_MAX) {
    this.#clock = clock
    this.#intervalMs = 1_000 / perSecondMax
  }

  /** Runs `run` at its turn, which may be now. @returns a function that gives the turn up */
  wait(urgency: () => StreamUrgency, run: () => void): () => void {
    const waiting: Waiting = { urgency, run }
    this.#waiting.add(waiting)
    this.#step()
    return () => void this.#waiting.delete(waiting)
  }

  #step(): void {
    if (this.#isTimed || this.#waiting.size === 0) return
    const leftMs = this.#nextAtMs - this.#clock.monotonicMs()
    if (leftMs <= 0) {
      this.#nextAtMs = this.#clock.monotonicMs() + this.#intervalMs
      const first = this.#first()
      if (first !== undefined) this.#waiting.delete(first)
      first?.run()
    }
    if (this.#waiting.size === 0) return
    this.#isTimed = true
    this.#clock.after(Math.max(0, this.#nextAtMs - this.#clock.monotonicMs()), () => {
      this.#isTimed = false
      this.#step()
    })
  }

  #first(): Waiting | undefined {
    let first: Waiting | undefined
    let rank: number = STREAM_URGENCIES.length
    for (const waiting of this.#waiting) {
      const own = STREAM_URGENCIES.indexOf(waiting.urgency())
      if (own < rank) [first, rank] = [waiting, own]
      if (rank === 0) break
    }
    return first
  }
}
