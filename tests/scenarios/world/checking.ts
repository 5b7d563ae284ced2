import type { AccountStanding } from '../../../workers/broker/port.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import { leaseName } from './leases.ts'
import type { Heard, PortCall, Process } from './process.ts'

/**
 * MUL-01: under a lease, nothing of an account that has been read before is written until its
 * holder has heard from the broker that the credentials still lead to this account. Which lease
 * that was heard under does not matter: a holder that takes the lease anew must ask anew. A write
 * that the store refuses for want of the lease is no finding: that is how the lease works.
 */
export class CheckedAccounts {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  /** `<process> <user> <connection>` of those that have heard it since they took the lease. */
  readonly #checked = new Set<string>()

  constructor(store: FakeStore, say: (finding: string) => void) {
    this.#store = store
    this.#say = say
  }

  heard({ name }: Process, { label, account, args }: PortCall, outcome: Heard): void {
    if (label === 'leases.take') this.#checked.delete(`${name} ${leaseName(String(args[0]))}`)
    if (label !== 'broker.readAccount' || account === null || !outcome.isDone) return
    const [userId = '', connectionId = ''] = account.split(' ')
    const { brokerAccountId } = outcome.value as AccountStanding
    const known = this.#store.accountOf(userId, connectionId)?.brokerAccountId
    if (known === undefined || known === brokerAccountId) this.#checked.add(`${name} ${account}`)
  }

  calling({ name }: Process, { label, args }: PortCall): void {
    if (label !== 'store.commit') return
    const [userId, { fence, writes, expectVersion }] = args as Parameters<FakeStore['commit']>
    if (fence.kind !== 'lease' || this.#store.versionOf(userId) !== expectVersion) return
    const ref = `${userId} ${fence.connectionId}`
    if (this.#store.leases.get(ref) !== fence.token) return
    const key = `${name} ${ref}`
    // Whose account it is, is what the first reading says.
    if (this.#store.accountOf(userId, fence.connectionId) === null) this.#checked.add(key)
    if (this.#checked.has(key)) return
    const what = writes.flatMap((write) => (write.kind === 'order' ? [write.order.id] : []))
    this.#say(`MUL-01 ${what.join(', ') || 'something'} is written before the account was checked`)
  }
}
