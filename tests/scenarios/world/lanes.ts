import type { Chance } from './chance.ts'

/** A waiting turn of an owner. `job`: the job of the queue that it belongs to, if any. */
export type Turn = Readonly<{
  owner: Owner
  lane: string
  label: string
  job: string | null
  go: () => void
}>

type Lane = Readonly<{ owner: Owner; turns: Turn[] }>

/** The waiting turns. Turns of one lane keep their order; any lane may be next. */
export class Lanes {
  readonly #waiting: Lane[] = []
  readonly #byName = new Map<string, Lane>()

  add(turn: Turn): void {
    const known = this.#byName.get(turn.lane)
    if (known !== undefined) return void known.turns.push(turn)
    const lane = { owner: turn.owner, turns: [turn] }
    this.#byName.set(turn.lane, lane)
    this.#waiting.push(lane)
  }

  /** The first turn of a lane whose owner is running, by chance; it stays until it is taken. */
  pick(chance: Chance): Turn | null {
    if (this.#waiting.length === 0) return null
    const picked = chance.pick(this.#waiting)
    if (picked?.owner.state === 'running') return picked.turns[0] ?? null
    return (
      chance.pick(this.#waiting.filter(({ owner }) => owner.state === 'running'))?.turns[0] ?? null
    )
  }

  /** Removes the picked turn. */
  take({ lane }: Turn): void {
    const known = this.#byName.get(lane)
    if (known === undefined) return
    known.turns.shift()
    if (known.turns.length > 0) return
    this.#byName.delete(lane)
    // The last lane takes the index of the empty one. The order of lanes is arbitrary, but the same
    // in every run.
    const last = this.#waiting.pop()
    if (last !== undefined && last !== known) this.#waiting[this.#waiting.indexOf(known)] = last
  }

  drop(owner: Owner): void {
    const kept = this.#waiting.filter((lane) => lane.owner !== owner)
    this.#waiting.splice(0, this.#waiting.length, ...kept)
    for (const [name, lane] of this.#byName) if (lane.owner === owner) this.#byName.delete(name)
  }

  toString(): string {
    return this.#waiting
      .flatMap(({ turns }) => turns.map(({ lane, label }) => `${lane} ${label}`))
      .join(', ')
  }
}

/** The owner of turns: a process, or the world itself. */
export type Owner = { readonly name: string; readonly state: 'running' | 'frozen' | 'dead' }
