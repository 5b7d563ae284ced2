import type { ConnectionRef, Recoveries } from '#store'

/** Marks of recoveries in memory. `begun`: how many there were. */
export class FakeRecoveries implements Recoveries {
  readonly #marks = new Map<string, { token: string; untilMs: number }>()
  readonly #nowMs: () => number
  begun = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  async begin(ref: ConnectionRef, token: string, ttlMs: number): Promise<void> {
    this.begun += 1
    this.#marks.set(keyOf(ref), { token, untilMs: this.#nowMs() + ttlMs })
  }

  async end(ref: ConnectionRef, token: string): Promise<void> {
    if (this.#marks.get(keyOf(ref))?.token === token) this.#marks.delete(keyOf(ref))
  }

  async isRunning(ref: ConnectionRef): Promise<boolean> {
    return (this.#marks.get(keyOf(ref))?.untilMs ?? -Infinity) > this.#nowMs()
  }
}

const keyOf = ({ userId, connectionId }: ConnectionRef): string => `${userId} ${connectionId}`
