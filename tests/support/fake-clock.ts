import type { CancelTimer, Clock, Randomness } from '#runtime'

/** A clock that stands still until the test moves it. */
export class FakeClock implements Clock {
  #nowMs: number
  readonly #timers = new Map<number, { atMs: number; run: () => void }>()
  #ids = 0

  /** @param startMs default: a Friday, 10:00 in New York */
  constructor(startMs = Date.UTC(2024, 2, 15, 14, 0, 0)) {
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve))
  }

  after(delayMs: number, run: () => void): CancelTimer {
    const id = (this.#ids += 1)
    this.#timers.set(id, { atMs: this.#nowMs + delayMs, run })
    return () => void this.#timers.delete(id)
  }

  every(intervalMs: number, run: () => void): CancelTimer {
    let cancel: CancelTimer = () => {}
    const plan = (): void => {
      cancel = this.after(intervalMs, () => {
        plan()
        run()
      })
    }
    plan()
    return () => cancel()
  }

  /** Moves time, runs every timer that falls due on the way, and lets their work settle. */
  async advance(byMs: number): Promise<void> {
    await settle()
    const until = this.#nowMs + byMs
    for (;;) {
      const due = [...this.#timers]
        .filter(([, timer]) => timer.atMs <= until)
        .sort(([, a], [, b]) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      const [id, { atMs, run }] = due
      this.#timers.delete(id)
      this.#nowMs = Math.max(this.#nowMs, atMs)
      run()
      await settle()
    }
    this.#nowMs = until
    await settle()
  }
}

/** Lets everything that waits for nothing but promises come to rest. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** Ids that count up, and a fraction in the middle. */
export const fakeRandom = (): Randomness => {
  let ids = 0
  return { id: () => `r${(ids += 1)}`, fraction: () => 0.5 }
}
