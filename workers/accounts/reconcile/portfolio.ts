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
import { CONFLICTS_MAX, ContentionError, FencedError, project } from '../../state/index.ts'
import { type AccountContext, followUp, showStop } from '../context.ts'

// Cash and positions against the broker's, and the end of the hot life of orders. A snapshot is
// merged only if nothing of the user changed since before it was read (POS-03); what it means is
// decided in src/domain/reconcile.ts.

export type PortfolioPass = Readonly<{
  /**
   * Differences that are not believed yet: they are looked at again once the settle window is over.
   */
  doubts: number
}>

/** Readings of an account that moves while it is read, before leaving it for the next pass. */
const STILL_TRIES_MAX = 2

/** What was loaded, or what there is by now: the same version is the same state. */
export async function stillCurrent(
  { writer: { store }, ref }: AccountContext,
  known: LoadedConnection,
): Promise<LoadedConnection> {
  const version = await store.version(ref.userId)
  return version === known.version ? known : store.loadConnection(ref.userId, ref.connectionId)
}

/**
 * @param readTo broker time up to which orders and executions were read completely
 * @param loaded what there is, as far as the caller knows; `null`: it is loaded
 * @returns `isReconciled` false: the account moved at every try
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
    // A recovery may have read further while the broker was asked.
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
 * How far the activities were read is written down now and then: they are read again from days
 * before.
 */
const READ_TO_EVERY_MS = 3_600_000

/**
 * A pass that found nothing writes nothing: whoever watches the version would look for what had
 * changed.
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

/** Writes if nothing has changed since `expectVersion`. @throws {FencedError} */
async function commitAt(context: AccountContext, commit: Omit<Commit, 'fence'>): Promise<boolean> {
  const done = await context.writer.store.commit(context.ref.userId, {
    ...commit,
    fence: context.fence,
  })
  if (done.kind === 'fenced') throw new FencedError(context.ref.connectionId)
  return done.kind === 'committed'
}

/**
 * Writes what `decide` makes of the connection as it is, and of what it reads then, again until
 * nobody was faster. A clash may come from the same commit, whose reply was lost: then `decide`
 * finds its own writes, and must tell nothing a second time.
 * @param decide `null`: it is written already
 */
export async function commitWith(
  context: AccountContext,
  decide: (known: LoadedConnection) => Decided | Promise<Decided>,
): Promise<void> {
  const { userId, connectionId } = context.ref
  for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
    const known = await context.writer.store.loadConnection(userId, connectionId)
    const decided = await decide(known)
    if (decided === null || (await commitAt(context, { expectVersion: known.version, ...decided })))
      return
  }
  throw new ContentionError(userId)
}

type Decided = Pick<Commit, 'writes' | 'events'> | null

/** Writes down how far executions were read; never less than before. */
export const noteReadTo = (context: AccountContext, executionsReadTo: string): Promise<void> =>
  commitWith(context, ({ account }) => ({
    writes:
      account === null || account.executionsReadTo >= executionsReadTo
        ? []
        : [{ kind: 'account', account: { ...account, executionsReadTo } }],
    events: [],
  }))

/** The account, and the positions that are others than before. */
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

/** Records that leave the hot state in one commit. */
const ARCHIVED_PER_PASS = 500
/** Cancel marks of trades that never came, dropped in one commit. */
const MARKS_DROPPED_PER_PASS = 500

/**
 * What ended on an earlier trading day and can execute no more leaves the hot state; not on the day
 * on which an exit of it executed.
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
 * Lists are read again from this long before the last reading: they lag, and times are not in
 * order.
 */
const OVERLAP_MS = 5 * 60_000
export const overlapping = (readTo: string): string => isoTime(Date.parse(readTo) - OVERLAP_MS)
