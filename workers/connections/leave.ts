import { cancelOrderSchema, type Disconnect, type LoggedEvent } from '#contract'
import { type Account, isTerminal, livePlacements, type Order, REMOVAL_COMMAND } from '#domain'
import { type Clock, isoTime, type Logger } from '#runtime'
import {
  type ConnectionRef,
  type Connections,
  type Controls,
  isVerified,
  leaseKey,
  type Leases,
  type Store,
  type Write,
} from '#store'
import type { JobQueue, JobResult } from '../queue/index.ts'
import { CONFLICT, loadAccount, retryOnConflict } from '../state/index.ts'

/**
 * Removes a broker connection (MUL-07).
 *
 *   leaving --`cancel`: cancels requested--> winding down
 *   winding down --no order of ours can execute any more--> erased --> forgotten
 *   leaving --`leave`--> erased --> forgotten
 *
 * Invariant:
 * - From `leaving` on, no order is sent: the record changed, so its credentials count as
 *   unverified.
 * - The credentials are erased before the state is forgotten, so that no worker can take the
 *   account up again.
 * - The user is sent one event, in the commit that forgets the state.
 * - While the control sets of the store are lost, the removal waits: workers restore the sets they
 *   remember, including an erased connection.
 * - The removal may stop at any step and start again.
 */
export type LeaveDeps = Readonly<{
  store: Store
  connections: Connections
  controls: Controls
  leases: Leases
  clock: Clock
  log: Logger
  jobQueue: JobQueue
  /**
   * The marker of the store if its control sets are complete; `null`: they are lost or being
   * restored.
   */
  knownStore(): Promise<string | null>
}>

/** Interval of the checks of orders that are being canceled. */
const LOOK_AGAIN_MS = 1_000
const STORE_LOST: JobResult = {
  kind: 'again',
  delayMs: LOOK_AGAIN_MS,
  why: 'store_lost: the store lost its control sets, and they are being given back',
}
/** The most orders archived in one commit. */
const ORDERS_PER_COMMIT = 500

export async function leaveConnection(
  deps: LeaveDeps,
  { userId, connectionId }: Disconnect,
): Promise<JobResult> {
  const { store, connections, controls, leases, log } = deps
  const ref = { userId, connectionId }
  const marker = await deps.knownStore()
  if (marker === null) return STORE_LOST
  const connection = await connections.get(ref)
  // The user has connected the account again meanwhile.
  if (connection !== null && connection.leaving === undefined) return { kind: 'done' }
  // If the user requested the removal twice, the record has the later choice. Without a record, an
  // earlier run of this job erased the connection.
  if (connection?.leaving?.openOrders === 'cancel') {
    const { orders } = await store.loadConnection(ref.userId, ref.connectionId)
    const open = orders.filter(canExecute)
    for (const order of open) await deps.jobQueue.cancel(cancelOf(order, connection.revision))
    if (open.length > 0)
      return { kind: 'again', delayMs: LOOK_AGAIN_MS, why: `${open.length} orders are still open` }
  }
  await controls.remove(ref)
  await leases.revoke(leaseKey(ref.userId, ref.connectionId))
  if ((await deps.knownStore()) !== marker) return STORE_LOST
  await forget(deps, ref)
  log.warn(ref, 'connection.removed')
  return { kind: 'done' }
}

/**
 * Finishes a removal that stopped after the connection was erased and before its state was
 * forgotten. If the user then links another account, no session may mix that account into the old
 * state. Called after a login verified the connection: a link never moves to another account, so
 * the state of another account is older than the link.
 */
export async function forgetFormer(deps: LeaveDeps, ref: ConnectionRef): Promise<void> {
  const marker = await deps.knownStore()
  const account = await loadAccount(deps.store, ref)
  if (marker === null || account === null) return
  const found = await deps.connections.find(ref)
  if (found === null || !isVerified(found) || (await deps.knownStore()) !== marker) return
  const { brokerAccountId } = account
  if (found.link?.brokerAccountId === brokerAccountId) return
  await deps.leases.revoke(leaseKey(ref.userId, ref.connectionId))
  await forget(deps, ref, (held) => held?.brokerAccountId === brokerAccountId)
  deps.log.warn(ref, 'connection.former_forgotten')
}

/** Orders placed elsewhere are not ours to cancel. */
const canExecute = (order: Order): boolean =>
  order.origin === 'fillcast' && (!isTerminal(order.status) || livePlacements(order).length > 0)

const isKept = ({ status }: Order): boolean => status !== 'denied'

const cancelOf = ({ userId, connectionId, id }: Order, revision: string) =>
  cancelOrderSchema.parse({
    userId,
    connectionId,
    tradeId: id,
    commandId: `${REMOVAL_COMMAND}${revision}`,
    by: 'system',
    reason: 'The broker connection is being removed',
  })

/**
 * Archives the orders in parts; the last commit forgets the remaining state and sends the events.
 * @param isStill whether the stored account is the one to forget; default: any account
 */
async function forget(
  { store, clock }: LeaveDeps,
  { userId, connectionId }: ConnectionRef,
  isStill: (account: Account | null) => boolean = () => true,
): Promise<void> {
  const archiveSome = async (): Promise<'more' | 'done' | typeof CONFLICT> => {
    const { version, account, positions, orders, health } = await store.loadConnection(
      userId,
      connectionId,
    )
    // Without held state, an earlier run has sent the events. Orders requested since then were
    // denied, and do not count as held state.
    const isHeld = account !== null || health !== null || positions.size > 0 || orders.some(isKept)
    if (!isHeld || !isStill(account)) return 'done'
    const isLast = orders.length <= ORDERS_PER_COMMIT
    const writes: Write[] = isLast
      ? [{ kind: 'forget', connectionId }]
      : orders.slice(0, ORDERS_PER_COMMIT).map((order) => ({ kind: 'archive', order }))
    const events = isLast ? farewell(connectionId, isoTime(clock.now())) : []
    const done = await store.commit(userId, {
      expectVersion: version,
      fence: { kind: 'version' },
      writes,
      events,
    })
    if (done.kind !== 'committed') return CONFLICT
    return isLast ? 'done' : 'more'
  }
  while ((await retryOnConflict(userId, archiveSome)) === 'more');
}

const farewell = (brokerConnectionId: string, timestamp: string): LoggedEvent[] => [
  {
    event: 'error.brokerDisconnected',
    payload: {
      brokerType: 'alpaca',
      brokerConnectionId,
      timestamp,
      reason: 'The connection was removed',
      code: 'REMOVED',
      action: 'Connect the broker account again to trade',
    },
  },
  { event: 'state.resync', payload: { reason: 'CONNECTION_REMOVED', timestamp } },
]
