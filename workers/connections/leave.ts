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
import { CONFLICTS_MAX, ContentionError, loadAccount } from '../state/index.ts'

/**
 * Removes a broker connection (MUL-07).
 *
 *   leaving --`cancel`: cancels asked for--> winding down
 *   winding down --no order of ours can execute any more--> erased --> forgotten
 *   leaving --`leave`--> erased --> forgotten
 *
 * Kept true: nothing new is sent from `leaving` on (the record changed, so its credentials count as
 * unverified); the credentials are erased before anything is forgotten, so that nobody can take the
 * account up again; the user is told once, in the same commit. A store that lost its control sets
 * is waited for: workers give back what they remember, a connection that is erased meanwhile too.
 * It may stop anywhere and start again.
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
   * The marker of the store, if it holds what it should; `null`: its control sets are lost, or
   * being given back.
   */
  knownStore(): Promise<string | null>
}>

/** Pause between looks at orders that are being canceled. */
const LOOK_AGAIN_MS = 1_000
const STORE_LOST: JobResult = {
  kind: 'again',
  delayMs: LOOK_AGAIN_MS,
  why: 'store_lost: the store lost its control sets, and they are being given back',
}
/** Orders archived in one commit. */
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
  if (connection !== null && connection.leaving === undefined) return { kind: 'done' } // connected again meanwhile
  // Asked for twice, the later word counts. No record: this job was here before.
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
 * A removal may stop between the two: the connection is erased, what it held is not yet forgotten,
 * and the user links another account. No session may mix that account into the state of the first
 * one, so that the removal is finished here. Called where a login has verified the connection: a
 * link never moves to another account, so a state of another one is left from before the link.
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
 * Orders go first, a part at a time; the last commit takes the rest and tells of it.
 * @param isStill whether the account that is held is the one to forget; default: whichever it is
 */
async function forget(
  { store, clock }: LeaveDeps,
  { userId, connectionId }: ConnectionRef,
  isStill: (account: Account | null) => boolean = () => true,
): Promise<void> {
  for (let conflicts = 0; conflicts < CONFLICTS_MAX;) {
    const { version, account, positions, orders, health } = await store.loadConnection(
      userId,
      connectionId,
    )
    // Told already. What was asked for since, and was refused for want of the connection, is
    // nothing that was held.
    const isHeld = account !== null || health !== null || positions.size > 0 || orders.some(isKept)
    if (!isHeld || !isStill(account)) return
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
    if (done.kind !== 'committed') conflicts += 1
    else if (isLast) return
  }
  throw new ContentionError(userId)
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
