import type { Logger } from 'pino'
import type { BrokerConnection } from '#store'
import type { Change } from '../../../src/domain/updates.ts'
import type { Connections } from '../../../src/store/connections.ts'
import type { Controls } from '../../../src/store/control.ts'
import type { Leases } from '../../../src/store/lease.ts'
import type { Links } from '../../../src/store/links.ts'
import type { QuarantinedOrders } from '../../../src/store/quarantined-orders.ts'
import type { Recoveries } from '../../../src/store/recoveries.ts'
import type { BrokerCredentials, ConnectionRef, Vault } from '../../../src/store/vault.ts'
import type { Broker } from '../../../workers/broker/port.ts'
import type { OverExitPolicy } from '../../../workers/accounts/context.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { IdleTries } from './idle-tries.ts'
import type { StreamWord } from './mute.ts'
import type { Process } from './process.ts'
import type { ModelQueue } from './queue.ts'
import type { Schedule } from './schedule.ts'

/** The shared parts of all workers of a world: they outlive a process. */
export type Outside = Readonly<{
  schedule: Schedule
  queue: ModelQueue
  store: FakeStore
  leases: Leases
  idleTries: IdleTries
  recoveries: Recoveries
  quarantine: QuarantinedOrders
  connections: Connections
  links: Links
  controls: Controls
  vault: Vault
  /** A broker account as a process reaches it that has opened the credentials of a connection. */
  reach: (process: Process, connection: BrokerConnection, credentials: BrokerCredentials) => Broker
  /** The connections that workers know from the start, if they read no control sets. */
  refs: readonly ConnectionRef[]
  /** Workers find out about connections as in production: by reading the control sets. */
  isWhole: boolean
  /** A defect that is planted: workers tell the time by the clocks of their machines. */
  trustsMachine: boolean
  log: Logger
  /** Callbacks for the return of the store after an outage. */
  onReturn: Set<() => void>
  /** A trade stream does something, as a worker gets it. */
  onStream: (process: Process, ref: ConnectionRef, word: StreamWord) => void
  /** Replaces the broker for the workers by a defective one; default: no defect. */
  planted: ((broker: Broker) => Broker) | undefined
  onCommitted: (userId: string, changes: readonly Change[]) => void
  overExit: OverExitPolicy
}>
