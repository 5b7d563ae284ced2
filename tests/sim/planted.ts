import { registerHooks } from 'node:module'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * A defect that is put into the code when it is read, to see that the sweep finds it: in `file` the
 * text `right`, which is there once, becomes `wrong`. Files on disk stay as they are.
 */
export type PlantedDefect = Readonly<{
  name: string
  what: string
  file: string
  right: string
  wrong: string
}>

export const planted: readonly PlantedDefect[] = [
  {
    name: 'submission',
    what: 'a refusal is believed, although the store lost an earlier request that may have arrived',
    file: 'workers/orders/send.ts',
    right: 'order !== null && deps.mayHaveLostWrites()',
    wrong: 'order?.id === "" && deps.mayHaveLostWrites()',
  },
  {
    name: 'replacement',
    what: 'a replacement counts as done before the broker shows which order stands',
    file: 'src/domain/booking.ts',
    right: "if (predecessorOf(this.#order, one)?.status !== 'replaced' && !isAtWork(one)) return",
    wrong: 'if (predecessorOf(this.#order, one) == null) return',
  },
  {
    name: 'closing',
    what: 'a close of all positions that runs again closes what was opened since',
    file: 'workers/orders/covered.ts',
    right: 'isBefore(openedAt, run)',
    wrong: 'openedAt <= openedAt || isBefore(openedAt, run)',
  },
  {
    name: 'fills',
    what: 'an execution is booked although the one before it has not come yet',
    file: 'src/domain/placement.ts',
    right:
      'if (cmp(sub(next.cumulativeQuantity, next.quantity), placement.cumulativeQuantity) > 0)\n      return null',
    wrong: '',
  },
  {
    name: 'reconciliation',
    what: 'the first reading that shows another position is believed',
    file: 'src/domain/reconcile.ts',
    right: 'if (!this.#isConfirmed(`position ${symbol}`, theirs?.quantity ?? ZERO)) return',
    wrong: 'this.#isConfirmed(`position ${symbol}`, theirs?.quantity ?? ZERO)',
  },
  {
    name: 'leases',
    what: 'what an owner writes is not held against its lease',
    file: 'workers/accounts/lease.ts',
    right: "fence: { kind: 'lease', connectionId: this.#ref.connectionId, token },",
    wrong: "fence: { kind: 'version' },",
  },
  {
    name: 'relay stream',
    what: 'an event is sent on although the one before it never came',
    file: 'relay/user-stream.ts',
    right: "if (meta.prev === this.#position && event !== 'state.resync') this.#send(logged)",
    wrong: "if (meta.id > this.#position && event !== 'state.resync') this.#send(logged)",
  },
]

const root = new URL('../../', import.meta.url)

/** The file with the defect in it. @throws {Error} the text is not there, or more than once */
export function withDefect({ name, file, right, wrong }: PlantedDefect): string {
  const text = readFileSync(new URL(file, root), 'utf8')
  const [before, after, ...more] = text.split(right)
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(
      `the defect "${name}" does not fit any more: ${file} must have this once: ${right}`,
    )
  return before + wrong + after
}

/** Every module that is read from now on in this process has the defect. */
export function plant(name: string): void {
  const defect = planted.find((one) => one.name === name)
  if (defect === undefined) throw new Error(`there is no defect "${name}"`)
  const path = fileURLToPath(new URL(defect.file, root))
  const source = withDefect(defect)
  registerHooks({
    load(url, context, next) {
      if (!url.startsWith('file:') || fileURLToPath(url) !== path) return next(url, context)
      return { format: 'module-typescript', source, shortCircuit: true }
    },
  })
}
