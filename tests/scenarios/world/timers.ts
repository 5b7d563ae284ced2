import type { CancelTimer } from '#runtime'
import type { Chance } from './chance.ts'
import type { Owner } from './lanes.ts'

export type Timer = Readonly<{ owner: Owner; atMs: number; run: () => void }>

/**
 * What is planned for later, by whom: of each owner the earliest first, and those of one moment in
 * the order of planning.
 */
export class Timers {
  readonly #byOwner = new Map<Owner, Timer[]>()

  add(timer: Timer): CancelTimer {
    const own = this.#byOwner.get(timer.owner) ?? []
    this.#byOwner.set(timer.owner, own)
    let at = own.length
    while (at > 0 && own[at - 1]!.atMs > timer.atMs) at -= 1
    own.splice(at, 0, timer)
    return () => this.remove(timer)
  }

  remove(timer: Timer): void {
    const own = this.#byOwner.get(timer.owner)
    const at = own?.indexOf(timer) ?? -1
    if (own === undefined || at === -1) return
    own.splice(at, 1)
    if (own.length === 0) this.#byOwner.delete(timer.owner)
  }

  drop(owner: Owner): void {
    this.#byOwner.delete(owner)
  }

  /**
   * The earliest timer that may fire by then: of each owner the first one, among owners by chance.
   */
  next(nowMs: number, untilMs: number, chance: Chance): Timer | null {
    let earliestMs = Infinity
    let due: Timer[] = []
    for (const [owner, [first]] of this.#byOwner) {
      if (owner.state !== 'running' || first === undefined) continue
      const atMs = Math.max(first.atMs, nowMs)
      if (atMs > earliestMs) continue
      if (atMs < earliestMs) due = []
      earliestMs = atMs
      due.push(first)
    }
    return earliestMs > untilMs ? null : (chance.pick(due) ?? null)
  }
}
