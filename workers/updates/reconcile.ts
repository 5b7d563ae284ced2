import type { LoggedEvent } from '#contract'
import {
  adopt,
  adoptOrder,
  type BrokerOrder,
  externalOrderId,
  hasGap,
  headOf,
  isTerminal,
  type Landing,
  type OrderUpdate,
  type Portfolio,
  readClientOrderId,
  reconcile,
} from '#domain'
import { isoTime } from '#runtime'
import type { ConnectionRef, Fence, LoadedConnection, Write } from '#store'
import type { Broker } from '../broker/index.ts'
import { type Applier, apply, CLASHES_MAX, ContentionError, FencedError } from './apply.ts'
import { project } from './project.ts'

/**
 * Brings one connection's state level with its broker: orders by list, executions by activity, cash and positions by snapshot.
 *
 * A series of idempotent steps: whatever was applied already changes nothing, so it may stop anywhere and start again (CRA-04).
 * It runs after the stream is subscribed, never before (CON-03), and writes under the stream owner's lease.
 */
export type ReconcileDeps = Readonly<{ applier: Applier; broker: Broker; ref: ConnectionRef; fence: Fence }>

/** What is still open after a pass: differences that are not believed yet, executions that are not listed yet. */
export type PassResult = Readonly<{ doubts: number; gaps: number }>

/** Lists are read again from this long before the last reading: clocks differ, and lists lag. */
const OVERLAP_MS = 5 * 60_000
/** At the first reading, orders of this long are noted as executed already. */
const ADOPT_MS = 24 * 3_600_000
/** Readings of an account that moves while it is read, before giving up until the next pass. */
const STILL_TRIES_MAX = 5
/** Order records in one commit. */
const ORDERS_PER_COMMIT = 500

/** @throws {FencedError} the lease was lost  @throws {BrokerError} the broker could not be read: the pass starts again later */
export async function reconcileConnection(deps: ReconcileDeps): Promise<PassResult> {
  const { applier, ref } = deps
  const known = await applier.store.loadConnection(ref.userId, ref.connectionId)
  if (known.account === null) {
    const isAdopted = await adoptConnection(deps)
    return { doubts: 0, gaps: isAdopted ? 0 : 1 }
  }
  const startedAtMs = applier.clock.now()
  const since = isoTime(Date.parse(known.account.executionsReadTo) - OVERLAP_MS)
  const gaps = await levelOrders(deps, known, since)
  const doubts = await levelPortfolio(deps, startedAtMs)
  return { doubts, gaps }
}

/** The order record that a broker order belongs to: ours by its client order id, else an external one. */
export function landingOf({ userId, connectionId }: ConnectionRef, order: BrokerOrder): Landing {
  const ours = readClientOrderId(order.clientOrderId, userId)
  return ours === null
    ? { id: externalOrderId(order.brokerOrderId), origin: 'external', userId, connectionId }
    : { id: ours.tradeId, origin: 'fillcast', userId, connectionId }
}

/**
 * The first reading: positions and cash as they are; what orders have executed so far is in them already.
 * @returns `false` when the account moved at every try
 */
async function adoptConnection({ applier, broker, ref, fence }: ReconcileDeps): Promise<boolean> {
  const { store, clock } = applier
  const since = isoTime(clock.now() - ADOPT_MS)
  const list = async () => [
    ...(await broker.listOrders({ status: 'all', since })),
    ...(await broker.listOrders({ status: 'open' })),
  ]
  for (let tries = 0; tries < STILL_TRIES_MAX; tries += 1) {
    const before = await list()
    const snapshot = await broker.readPortfolio()
    const orders = await list()
    if (filledTotals(before) !== filledTotals(orders)) continue // it moved while we looked: look again
    const atMs = clock.now()
    const readAt = isoTime(atMs)
    const portfolio = adopt(ref.connectionId, { snapshot, activities: [], atMs, at: readAt })
    const records = new Map(orders.map((order) => [order.brokerOrderId, adoptOrder(order, landingOf(ref, order))]))
    const known = await store.loadConnection(ref.userId, ref.connectionId)
    const kept = new Set(known.orders.map((order) => order.id))
    const fresh = [...records.values()].filter((order) => !kept.has(order.id))
    for (let from = 0; from < fresh.length; from += ORDERS_PER_COMMIT) {
      const writes = fresh.slice(from, from + ORDERS_PER_COMMIT).map((order): Write => ({ kind: 'order', order }))
      await commitNow(applier, ref, fence, writes, [])
    }
    // What the account held before cannot be told as events: clients take the state that goes with this as the whole truth.
    const resync: LoggedEvent = {
      event: 'state.resync',
      payload: { reason: 'The broker account was read for the first time', timestamp: readAt },
    }
    const connected: LoggedEvent = {
      event: 'broker.connected',
      payload: { brokerType: 'alpaca', brokerConnectionId: ref.connectionId, timestamp: readAt },
    }
    await commitNow(applier, ref, fence, portfolioWrites(null, portfolio), [resync, connected])
    return true
  }
  return false
}

const filledTotals = (orders: readonly BrokerOrder[]): string =>
  [...new Set(orders.map(({ brokerOrderId, filledQuantity }) => `${brokerOrderId} ${filledQuantity}`))]
    .sort()
    .join('\n')

/** Commits at whatever version there is: for records that nobody else writes. */
async function commitNow(
  { store }: Applier,
  { userId, connectionId }: ConnectionRef,
  fence: Fence,
  writes: readonly Write[],
  events: readonly LoggedEvent[],
): Promise<void> {
  for (let clashes = 0; clashes < CLASHES_MAX; clashes += 1) {
    const { version } = await store.loadHealth(userId, connectionId)
    const done = await store.commit(userId, { expectVersion: version, fence, writes, events })
    if (done.kind === 'committed') return
    if (done.kind === 'fenced') throw new FencedError(connectionId)
  }
  throw new ContentionError(userId)
}

/**
 * Orders first, then the executions that they turn out to lack, in the order of their times, so that average costs come out as they
 * happened.
 * @returns how many orders still lack some: lists lag behind
 */
async function levelOrders(deps: ReconcileDeps, known: LoadedConnection, since: string): Promise<number> {
  const { broker } = deps
  const listed = new Map<string, BrokerOrder>()
  for (const order of await broker.listOrders({ status: 'open' })) listed.set(order.brokerOrderId, order)
  for (const order of await broker.listOrders({ status: 'all', since })) listed.set(order.brokerOrderId, order)
  for (const order of known.orders) {
    const head = headOf(order, 'entry')
    const isListed = head?.brokerOrderId != null && listed.has(head.brokerOrderId)
    if (head === null || isTerminal(order.status) || isListed) continue
    const found = await broker.findByClientOrderId(head.clientOrderId) // lists are for discovery, not for proof of absence
    if (found !== null) listed.set(found.brokerOrderId, found)
  }
  const gaps = new Map<string, BrokerOrder>()
  const note = (order: BrokerOrder, hasGap: boolean) =>
    void (hasGap ? gaps.set(order.brokerOrderId, order) : gaps.delete(order.brokerOrderId))
  for (const order of listed.values()) {
    const update = { type: 'broker_order', order, execution: null, at: order.updatedAt } as const
    note(order, await applyTo(deps, order, update))
  }
  if (gaps.size === 0) return 0
  const oldest = [...gaps.values()].map((order) => order.submittedAt).reduce((a, b) => (a < b ? a : b))
  for (const row of await broker.listExecutions(oldest < since ? oldest : since)) {
    const order = listed.get(row.brokerOrderId)
    if (order === undefined) continue
    note(order, await applyTo(deps, order, 'bust' in row ? { type: 'bust', ...row } : { type: 'execution', ...row }))
  }
  return gaps.size
}

/** Applies to the record of `order`; answers whether executions of it are still missing. */
async function applyTo(
  { applier, ref, fence }: ReconcileDeps,
  order: BrokerOrder,
  update: OrderUpdate,
): Promise<boolean> {
  const { slice } = await apply(applier, { landing: landingOf(ref, order), symbol: order.symbol, fence }, update)
  return slice.order !== null && hasGap(slice.order)
}

/** Cash and positions: written only if nothing of the user changed while the broker was read (POS-03). */
async function levelPortfolio({ applier, broker, ref, fence }: ReconcileDeps, startedAtMs: number): Promise<number> {
  const { store, clock } = applier
  const { userId, connectionId } = ref
  for (let tries = 0; tries < STILL_TRIES_MAX; tries += 1) {
    const { version, account, positions } = await store.loadConnection(userId, connectionId)
    if (account === null) return 0
    const snapshot = await broker.readPortfolio()
    const ours: Portfolio = { account: { ...account, executionsReadTo: isoTime(startedAtMs) }, positions }
    const atMs = clock.now()
    const { portfolio, changes } = reconcile(ours, { snapshot, activities: [], atMs, at: isoTime(atMs) })
    const writes = portfolioWrites({ account, positions }, portfolio)
    const events = project(userId, changes, isoTime(clock.now()))
    const done = await store.commit(userId, { expectVersion: version, fence, writes, events })
    if (done.kind === 'fenced') throw new FencedError(connectionId)
    if (done.kind === 'clash') continue
    applier.onCommitted(userId, changes)
    return Object.keys(portfolio.account.doubts).length
  }
  return 1
}

function portfolioWrites(before: Portfolio | null, after: Portfolio): Write[] {
  const { connectionId } = after.account
  const symbols = new Set([...(before?.positions.keys() ?? []), ...after.positions.keys()])
  const changed = [...symbols].filter((symbol) => before?.positions.get(symbol) !== after.positions.get(symbol))
  return [
    { kind: 'account', account: after.account },
    ...changed.map((symbol): Write => {
      return { kind: 'position', connectionId, symbol, position: after.positions.get(symbol) ?? null }
    }),
  ]
}
