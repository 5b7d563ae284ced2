import type { ConnectionRef } from '#store'
import type { FakeBroker } from '../../support/fake-broker.ts'
import type { FakeStore } from '../../support/fake-store.ts'

/** One connection of one user, its broker account, and the store: the rules compare them. */
export type Stake = Readonly<{ ref: ConnectionRef; broker: FakeBroker; store: FakeStore }>

/** A mark that changes with every write, every event sent and every change at the broker. */
export function markOf({ ref, broker, store }: Stake): string {
  const { executions, orders, ledger } = broker
  const log = store.log(ref.userId)
  const place = `${store.versionOf(ref.userId)} ${log.length} ${log.at(-1)?.id ?? ''}`
  return `${place} ${ledger.changes} ${orders.size} ${executions.length} ${ledger.busts.length}`
}

/** A stake at quiescence; `warnings`: the warnings in the log, which include the alarms. */
export type RestingStake = Stake & Readonly<{ warnings: readonly string[] }>
