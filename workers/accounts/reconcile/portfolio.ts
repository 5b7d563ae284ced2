import {
  type Account,
  ACTIVITY_OVERLAP_MS,
  livePlacements,
  type Order,
  type Portfolio,
  type Reading,
  reconcile,
  tradingDayOf,
} from '#domain'
import { isoTime } from '#runtime'
import { type Commit, droppedMarks, type LoadedConnection, type Write } from '#store'
import { CONFLICT, FencedError, project, retryOnConflict } from '../../state/index.ts'
import { type AccountContext, followUp, showStop } from '../context.ts'

// Compares cash and positions with the broker's, and archives ended orders. A snapshot is merged
// only if the user's state has not changed since before the snapshot was read (POS-03).
// src/domain/reconcile.ts decides how each difference is booked.

export type PortfolioPass = Readonly<{
  /**
   * The number of differences that are not booked yet: they are compared again after the settle
   * window.
   */
  doubts: number
}>

/**
 * Tries before leaving the comparison to the next pass, if the account changes during each reading.
 */
const STILL_TRIES_MAX = 2

/** The state that was loaded, or the current state if the version has changed since. */
export async function stillCurrent(
  { writer: { store }, ref }: AccountContext,
  known: LoadedConnection,
): Promise<LoadedConnection> {
  const version = await store.version(ref.userId)
  return version === known.version ? known : store.loadConnection(ref.userId, ref.connectionId)
}

/**
 * @param readTo broker time up to which orders and executions were read completely
 * @param loaded the state that the caller knows; `null`: the state is loaded here
 * @returns `isReconciled` is false if the account changed during every try
 */
export async function reconcilePortfolio(
  context: AccountContext,
  readTo: string,
  loaded: LoadedConnection | null,
): Promise<PortfolioPass & { isReconciled: boolean }> {
  const { writer, clock, ref } = context
  for (let tries = 0; tries < STILL_TRIES_MAX; tries += 1) {
    const isGiven = tries === 0 && loaded !== null
    const known = isGiven ? loaded : await writer.store.loadConnection(ref.userId, ref.connectionId)
    if (known.account === null) break
    // A recovery may have read further while this pass waited for the broker.
    const executionsReadTo = later(readTo, known.account.executionsReadTo)
    const ours: Portfolio = {
      account: { ...known.account, executionsReadTo },
      positions: known.positions,
    }
    const reading = await readSnapshot(context, ours.account.activitiesReadTo)
    await context.boundaries.reached('reconcile.portfolio_read')
    const { portfolio, changes } = reconcile(ours, reading)
    const writes = [
      ...portfolioWrites(known.positions, portfolio),
      ...archived(known.orders, tradingDayOf(clock.now())).slice(0, ARCHIVED_PER_PASS),
      ...droppedMarks(known.cancelMarks, clock.now(), MARKS_DROPPED_PER_PASS),
    ]
    const events = project(ref.userId, changes, isoTime(clock.now()), known.cashElsewhere)
    const { doubts } = portfolio.account
    if (changes.length > 0 || writes.length > 1 || !isSettled(known.account, portfolio.account)) {
      if (!(await commitAt(context, { expectVersion: known.version, writes, events }))) continue
      writer.onCommitted(ref.userId, changes)
      await context.boundaries.reached('reconcile.committed')
      await followUp(context, changes, null)
    }
    for (const position of portfolio.positions.values())
      await showStop(context, position, known.orders)
    return { doubts: Object.keys(doubts).length, isReconciled: true }
  }
  return { doubts: 0, isReconciled: false }
}

/** The later of two broker times. */
export const later = (a: string, b: string): string => (a > b ? a : b)

/**
 * The time `activitiesReadTo` is saved only this often, because activities are read again from days
 * before anyway.
 */
const READ_TO_EVERY_MS = 3_600_000

/**
 * A pass without a difference writes nothing: a write would raise the version, and the poller would
 * reload the records for no reason.
 */
function isSettled(before: Account, after: Account): boolean {
  const readForMs = Date.parse(after.activitiesReadTo) - Date.parse(before.activitiesReadTo)
  const isSame =
    JSON.stringify({ ...after, activitiesReadTo: '' }) ===
    JSON.stringify({ ...before, activitiesReadTo: '' })
  return isSame && Math.abs(readForMs) < READ_TO_EVERY_MS
}

export async function readSnapshot(
  { broker, clock, asking }: AccountContext,
  activitiesReadTo: string,
): Promise<Reading> {
  const atMs = clock.now()
  const since = isoTime(Date.parse(activitiesReadTo) - ACTIVITY_OVERLAP_MS)
  return asking(async () => {
    const snapshot = await broker.readPortfolio()
    const activities = await broker.listActivities(since)
    return { snapshot, activities, atMs, at: isoTime(atMs) }
  })
}

/** Writes if the version is still `expectVersion`. @throws {FencedError} */
async function commitAt(context: AccountContext, commit: Omit<Commit, 'fence'>): Promise<boolean> {
  const done = await context.writer.store.commit(context.ref.userId, {
    ...commit,
    fence: context.fence,
  })
  if (done.kind === 'fenced') throw new FencedError(context.ref.connectionId)
  return done.kind === 'committed'
}

/**
 * Commits the writes that `decide` returns for the current state of the connection, and decides
 * again after each conflict. The conflict may come from this very commit, if its reply was lost:
 * then `decide` finds its own writes, and must not send the events a second time.
 * @param decide returns `null` if the writes are committed already
 */
export async function commitWith(
  context: AccountContext,
  decide: (known: LoadedConnection) => Decided | Promise<Decided>,
): Promise<void> {
  const { userId, connectionId } = context.ref
  await retryOnConflict(userId, async () => {
    const known = await context.writer.store.loadConnection(userId, connectionId)
    const decided = await decide(known)
    if (decided === null) return null
    const isCommitted = await commitAt(context, { expectVersion: known.version, ...decided })
    return isCommitted ? null : CONFLICT
  })
}

type Decided = Pick<Commit, 'writes' | 'events'> | null

/** Saves the time up to which executions were read; the time never moves back. */
export const noteReadTo = (context: AccountContext, executionsReadTo: string): Promise<void> =>
  commitWith(context, ({ account }) => ({
    writes:
      account === null || account.executionsReadTo >= executionsReadTo
        ? []
        : [{ kind: 'account', account: { ...account, executionsReadTo } }],
    events: [],
  }))

/** Writes for the account and for the positions that changed. */
export function portfolioWrites(
  before: Portfolio['positions'],
  { account, positions }: Portfolio,
): Write[] {
  const { connectionId } = account
  const symbols = new Set([...before.keys(), ...positions.keys()])
  const changed = [...symbols].filter((symbol) => before.get(symbol) !== positions.get(symbol))
  return [
    { kind: 'account', account },
    ...changed.map((symbol): Write => {
      return { kind: 'position', connectionId, symbol, position: positions.get(symbol) ?? null }
    }),
  ]
}

/** The most records archived in one commit. */
const ARCHIVED_PER_PASS = 500
/** The most cancel marks, of trades that never came, dropped in one commit. */
const MARKS_DROPPED_PER_PASS = 500

/**
 * Archives the orders that ended on an earlier trading day and have no live placement. An order
 * stays hot on a day on which one of its exits executed.
 */
const archived = (orders: readonly Order[], today: string): Write[] =>
  orders
    .filter(
      ({ endedAt, lastExecutionAt }) =>
        isBefore(today, endedAt) && isBefore(today, lastExecutionAt ?? endedAt),
    )
    .filter((order) => livePlacements(order).length === 0)
    .map((order) => ({ kind: 'archive', order }))

const isBefore = (day: string, at: string | null): boolean =>
  at !== null && tradingDayOf(Date.parse(at)) < day

/**
 * Lists are read again from this long before the last reading: the lists lag, and their times are
 * not in order.
 */
const OVERLAP_MS = 5 * 60_000
export const overlapping = (readTo: string): string => isoTime(Date.parse(readTo) - OVERLAP_MS)
