import type { FakeStore } from '../../support/fake-store.ts'
import { leaseName } from './leases.ts'
import type { Heard, PortCall, Process } from './process.ts'
import { inJob } from './schedule.ts'

/**
 * MUL-05: what is written of an account without a job that asks for it is written by the worker
 * that holds the lease of its connection. A write that the store refuses for want of the lease is
 * no finding: that is how the lease works.
 */
export class LeaseHolders {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  /** `<process> <user> <connection>` -> the token of the last lease that the process took. */
  readonly #tokens = new Map<string, string>()

  constructor(store: FakeStore, say: (finding: string) => void) {
    this.#store = store
    this.#say = say
  }

  heard({ name }: Process, { label, args }: PortCall, outcome: Heard): void {
    if (label !== 'leases.take' || !outcome.isDone || typeof outcome.value !== 'string') return
    this.#tokens.set(`${name} ${leaseName(String(args[0]))}`, outcome.value)
  }

  calling({ name }: Process, { label, args }: PortCall): void {
    if (label !== 'store.commit' || inJob.getStore() !== undefined) return
    const [userId, { fence, writes, expectVersion }] = args as Parameters<FakeStore['commit']>
    if (fence.kind === 'lease' || this.#store.versionOf(userId) !== expectVersion) return
    const connections = writes.flatMap((write) => {
      if (write.kind === 'order') return [write.order.connectionId]
      if (write.kind === 'account') return [write.account.connectionId]
      return write.kind === 'position' ? [write.connectionId] : []
    })
    for (const connectionId of new Set(connections)) {
      const token = this.#store.leases.get(`${userId} ${connectionId}`)
      if (token === undefined || token !== this.#tokens.get(`${name} ${userId} ${connectionId}`))
        this.#say(`MUL-05 ${name} writes of ${userId} ${connectionId}, and does not hold its lease`)
    }
  }
}
