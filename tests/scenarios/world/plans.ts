import type { Process } from './process.ts'

/** A label that stands for any next step of a process. */
export const ANY_STEP = 'any step'

type Run = (process: Process) => void

/** Callbacks before a step of a process; each runs once, in the order of planning. */
export class Plans {
  /** A worker that takes this step for one of these jobs dies, every time. */
  poison: Readonly<{ label: string; jobs: readonly string[] }> | null = null
  readonly #plans: { label: string; skip: number; run: Run }[] = []

  /** @param skip the number of steps of this label before the callback runs */
  add(label: string, run: Run, skip: number): void {
    this.#plans.push({ label, skip, run })
  }

  /** The callback for this step, if one is due. */
  due(label: string): Run | null {
    if (this.#plans.length === 0) return null
    const plan = this.#plans.find((one) => one.label === ANY_STEP || one.label === label)
    if (plan === undefined) return null
    if (plan.skip > 0) {
      plan.skip -= 1
      return null
    }
    this.#plans.splice(this.#plans.indexOf(plan), 1)
    return plan.run
  }

  isPoison(label: string, job: string | null): boolean {
    return label === this.poison?.label && this.poison.jobs.includes(job ?? '')
  }

  clear(): void {
    this.#plans.length = 0
  }
}

const STEPS_SHOWN = 40

type Step = Readonly<{ atMs: number; owner: string; label: string }>

/** The steps taken: the count of each label, and the last steps. */
export class TakenSteps {
  readonly counts = new Map<string, number>()
  readonly #last: Step[] = []
  #total = 0

  /** @param atMs since the start */
  note(atMs: number, owner: string, label: string): void {
    this.counts.set(label, (this.counts.get(label) ?? 0) + 1)
    this.#last[this.#total % STEPS_SHOWN] = { atMs, owner, label }
    this.#total += 1
  }

  last(): string {
    const from = this.#total % STEPS_SHOWN
    const inOrder = [...this.#last.slice(from), ...this.#last.slice(0, from)]
    return inOrder
      .map(({ atMs, owner, label }) => `  ${(atMs / 1_000).toFixed(3)} ${owner} ${label}`)
      .join('\n')
  }
}
