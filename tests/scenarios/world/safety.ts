import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import { type Accounts, SECRET } from './accounts.ts'
import { findUnsafe } from './invariants.ts'
import { markOf } from './stake.ts'
import { overLimits } from './limits.ts'

/**
 * What the rules look at. `positionMax`: in money, by user. `told`: where no secret may be, besides
 * the log.
 */
export type SafetyOptions = Readonly<{
  accounts: Accounts
  store: FakeStore
  positionMax: ReadonlyMap<string, number>
  warnings: readonly string[]
  told: () => string
}>

/** The S rules about how things are, over all accounts. */
export class Safety {
  readonly #options: SafetyOptions
  /** How each account was when it was looked at last. */
  readonly #seen = new Map<ConnectionRef, string>()
  #warningsSeen = 0

  constructor(options: SafetyOptions) {
    this.#options = options
  }

  /** Everything, whether it has changed or not. */
  async findAll(): Promise<string[]> {
    this.#seen.clear()
    this.#warningsSeen = 0
    const found = await this.findInChanged()
    return this.#options.told().includes(SECRET) ? [...found, 'S18 a secret was told'] : found
  }

  /** The violations by the last step; unchanged accounts are not checked again. */
  async findInChanged(): Promise<string[]> {
    const { accounts, store, positionMax, warnings } = this.#options
    const found: string[] = []
    let hasChanged = false
    for (const account of accounts.all) {
      const stake = { ...account, store }
      const mark = markOf(stake)
      if (this.#seen.get(account.ref) === mark) continue
      hasChanged = true
      this.#seen.set(account.ref, mark)
      found.push(...(await findUnsafe(stake)))
    }
    if (hasChanged) found.push(...overLimits(positionMax, store, accounts))
    for (; this.#warningsSeen < warnings.length; this.#warningsSeen += 1)
      if (warnings[this.#warningsSeen]?.includes(SECRET) === true)
        found.push('S18 a secret was told')
    return found
  }
}
