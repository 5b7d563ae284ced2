import type { Clock } from '#runtime'

/**
 * Declares a trade stream mute that stays open and delivers nothing (CON-01).
 *
 *   live --a poll finds a change that the stream did not report--> silent, once
 *   silent --a report of the stream, or a new stream--> live
 *   silent --`SILENT_POLLS_MAX` such polls in a row--> mute: the stream is replaced
 *
 * A new stream and its recovery cost requests. If streams are found mute again and again, each is
 * replaced later than the one before, up to `MUTE_MS_MAX`.
 */
export class MuteDetector {
  readonly #clock: Clock
  #silentPolls = 0
  /** Streams found mute since the last report. */
  #mutes = 0
  /** The earliest time of the next replacement. */
  #nextMs = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  onOpened(): void {
    this.#silentPolls = 0
  }

  onReport(): void {
    this.#silentPolls = 0
    this.#mutes = 0
  }

  /**
   * @param changed orders that the poll found changed
   * @returns whether the stream is mute and has to be replaced now
   */
  onPoll(changed: number): boolean {
    if (changed > 0) this.#silentPolls += 1
    if (this.#silentPolls < SILENT_POLLS_MAX) return false
    this.#silentPolls = 0
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < this.#nextMs) return false
    this.#mutes += 1
    this.#nextMs = nowMs + Math.min(MUTE_MS_MIN * 2 ** this.#mutes, MUTE_MS_MAX)
    return true
  }
}

export const SILENT_POLLS_MAX = 3
const MUTE_MS_MIN = 15_000
const MUTE_MS_MAX = 10 * 60_000
