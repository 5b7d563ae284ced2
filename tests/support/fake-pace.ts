import type { ConnectionRef, Pace, PaceMax, TakeRefusal } from '#store'

const MINUTE_MS = 60_000
type Scope = 'user' | 'connection'

/** How many orders were sent, in memory: each with its time, and a count for the day. */
export class FakePace {
  readonly #times = new Map<string, number[]>()
  readonly #days = new Map<string, { day: string; count: number }>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Why there may not be one more, or `null`. */
  overOf(ref: ConnectionRef, pace: Pace): Extract<TakeRefusal, { kind: 'over_pace' }> | null {
    for (const [scope, name, { minute, day }] of scopesOf(ref, pace)) {
      const over = { kind: 'over_pace', scope } as const
      if (minute === 0 || day === 0) return { ...over, max: 0, retryAfterMs: null }
      if (day !== null && this.#today(name, pace.day).count >= day)
        return { ...over, max: day, retryAfterMs: null }
      const oldest = minute === null ? undefined : this.#times.get(name)?.at(-minute)
      const ageMs = this.#nowMs() - (oldest ?? Number.NEGATIVE_INFINITY)
      if (minute !== null && ageMs < MINUTE_MS)
        return { ...over, max: minute, retryAfterMs: MINUTE_MS - ageMs }
    }
    return null
  }

  count(ref: ConnectionRef, pace: Pace): void {
    for (const [, name, { minute, day }] of scopesOf(ref, pace)) {
      if (minute !== null) this.#times.set(name, [...(this.#times.get(name) ?? []), this.#nowMs()])
      const today = this.#today(name, pace.day)
      if (day !== null) this.#days.set(name, { ...today, count: today.count + 1 })
    }
  }

  wipe(): void {
    this.#times.clear()
    this.#days.clear()
  }

  #today(name: string, day: string): { day: string; count: number } {
    const known = this.#days.get(name)
    return known !== undefined && known.day >= day ? known : { day, count: 0 }
  }
}

const scopesOf = (
  { userId, connectionId }: ConnectionRef,
  { user, connection }: Pace,
): readonly (readonly [Scope, string, PaceMax])[] => [
  ['user', userId, user],
  ['connection', `${userId} ${connectionId}`, connection],
]
