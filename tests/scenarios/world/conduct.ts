import type { Change } from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Accounts } from './accounts.ts'
import { CheckedAccounts } from './checking.ts'
import { DetectionBounds, type OVER_AFTER_MS } from './detection.ts'
import { LinkRules } from './links.ts'
import { groundlessDrifts } from './drift.ts'
import { LeaseHolders } from './holders.ts'
import { MuteBound, type StreamWord } from './mute.ts'
import type { Heard, PortCall, Process } from './process.ts'
import { ReadingRules } from './readings.ts'
import { RequestCounts } from './request-counts.ts'
import { SendingRules } from './sending.ts'
import type { StoreFaults } from './store-faults.ts'

/**
 * The rules about processes; `invariants.ts` has those about state. Conduct watches every call of
 * every port. It keeps violations until the step is over, because an error thrown inside the step
 * could be caught by the code under test.
 */
export class Conduct {
  readonly sending: SendingRules
  readonly links: LinkRules
  readonly #store: FakeStore
  readonly #accounts: Accounts
  readonly #faults: StoreFaults
  readonly #readings: ReadingRules
  readonly #checked: CheckedAccounts
  readonly #holders: LeaseHolders
  /** `null`: the roles of this world do not follow accounts, or do not carry out orders. */
  readonly #detection: DetectionBounds | null
  readonly #mute: MuteBound
  readonly #nowMs: () => number
  readonly #requests: RequestCounts
  readonly #found: string[] = []
  #lookedAtMs = -Infinity
  #losses = 0
  #staff: readonly Process[] = []
  #isFrozen = false
  #hasActed = false

  constructor(
    outside: Readonly<{
      store: FakeStore
      accounts: Accounts
      faults: StoreFaults
      nowMs: () => number
    }>,
    isStaffed: boolean,
  ) {
    const { store, accounts, faults, nowMs } = outside
    const say = (finding: string): void => void this.#found.push(finding)
    this.#store = store
    this.#accounts = accounts
    this.#faults = faults
    this.#nowMs = nowMs
    this.sending = new SendingRules(store, say, nowMs)
    this.links = new LinkRules(store, say)
    this.#readings = new ReadingRules(store, say)
    this.#holders = new LeaseHolders(store, say)
    this.#checked = new CheckedAccounts(store, say)
    this.#detection = isStaffed ? new DetectionBounds(say) : null
    this.#mute = new MuteBound(say)
    this.#requests = new RequestCounts(store.budget, say)
  }

  asked(process: Process, call: PortCall): void {
    this.sending.asked(process, call)
    this.#detection?.asked(this.#nowMs(), process, call)
  }

  calling(process: Process, call: PortCall): ReturnType<StoreFaults['take']> {
    this.sending.calling(call)
    this.links.committing(call)
    this.#readings.calling(process, call)
    this.#checked.calling(process, call)
    this.#holders.calling(process, call)
    this.#mute.calling(this.#nowMs(), process, call)
    this.#hasActed ||= call.account !== null || call.label === 'store.commit'
    if (call.account !== null) this.#requests.sent(call.account, this.#nowMs())
    const fault = call.account === null ? this.#faults.take(process, call.label) : null
    if (fault !== null) this.disturbed('store')
    return fault
  }

  heard(process: Process, call: PortCall, outcome: Heard): void {
    this.sending.heard(process, call, outcome)
    this.links.heard(call, outcome)
    this.#readings.heard(process, call, outcome)
    this.#checked.heard(process, call, outcome)
    this.#holders.heard(process, call, outcome)
    this.#mute.heard(this.#nowMs(), process, call, outcome)
    this.#detection?.heard(this.#nowMs(), process, call, outcome)
  }

  streamSpoke(process: Process, ref: ConnectionRef, word: StreamWord): void {
    this.#mute.spoke(this.#nowMs(), process, ref, word)
  }

  disturbed(kind: keyof typeof OVER_AFTER_MS): void {
    this.#detection?.disturbed(this.#nowMs(), kind)
  }

  /** A commit was written with these changes. */
  committed(userId: string, changes: readonly Change[]): void {
    const own = this.#accounts.all
      .filter(({ ref }) => ref.userId === userId)
      .map(({ broker }) => broker)
    this.#found.push(...groundlessDrifts(changes, own, this.#store.losses))
  }

  /** True if a write or a request to a broker happened since the last call. */
  hasActed(): boolean {
    const has = this.#hasActed
    this.#hasActed = false
    return has
  }

  /** The violations since the last call. */
  async afterStep(workers: readonly Process[]): Promise<readonly string[]> {
    if (this.sending.hasClaimed) await this.sending.afterStep()
    this.links.afterStep()
    if (this.#isStaffDisturbed(workers)) this.disturbed('worker')
    if (this.#store.losses > this.#losses) this.disturbed('loss')
    this.#losses = this.#store.losses
    const nowMs = this.#nowMs()
    if (nowMs > this.#lookedAtMs && this.#detection !== null)
      for (const account of this.#accounts.all) {
        const stake = { ...account, store: this.#store }
        if (this.#detection.isOpen(nowMs, stake)) await this.#detection.look(nowMs, stake)
      }
    this.#lookedAtMs = nowMs
    return this.#found.splice(0)
  }

  /** True if a worker started or died since the last call, or is frozen. */
  #isStaffDisturbed(workers: readonly Process[]): boolean {
    const isSame =
      workers.length === this.#staff.length &&
      workers.every((one, index) => one === this.#staff[index])
    if (!isSame) this.#staff = [...workers]
    const isThawed = this.#isFrozen
    this.#isFrozen = workers.some(({ state }) => state === 'frozen')
    return !isSame || isThawed || this.#isFrozen || workers.length === 0
  }
}
