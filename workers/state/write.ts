import type { LoggedEvent } from '#contract'
import {
  type Account,
  type BrokerStatus,
  broughtBack,
  type Change,
  isOpenOrder,
  type Order,
  type OrderKey,
  type OrderUpdate,
  type Placement,
  reduce,
  type Slice,
} from '#domain'
import { type Clock, FillcastError, InvariantError, isoTime } from '#runtime'
import type {
  Commit,
  CommitResult,
  ConnectionRef,
  Fence,
  Halt,
  LoadedSlice,
  Store,
  TakeRefusal,
  Write,
} from '#store'
import type { Place, StateCache } from './cache.ts'
import { refsOf } from './order-key.ts'
import { project } from './project.ts'

/**
 * The one way in which an update becomes state and events: load, reduce, project, commit; on a
 * clash, load again.
 */
export type StateWriter = Readonly<{
  store: Store
  cache: StateCache
  clock: Clock
  /** Hears of every change that was committed: metrics and the log of anomalies. */
  onCommitted(userId: string, changes: readonly Change[]): void
}>

/** Where an update lands; `fence` proves that we may write there. */
export type Target = Readonly<{ orderKey: OrderKey; symbol: string; fence: Fence }>

/** What there is after an update; as good as loaded, so that the next one need not load. */
export type Applied = LoadedSlice & Readonly<{ changes: readonly Change[] }>

/**
 * The lease or claim that proved our right to write is somebody else's now. Stop working on it;
 * whoever holds it goes on.
 */
export class FencedError extends FillcastError<'FENCED'> {
  constructor(what: string) {
    super('FENCED', `${what} belongs to another worker now`)
  }
}

/** Somebody else was faster this often in a row: a defect or an overload, never normal. */
export class ContentionError extends FillcastError<'CONTENTION'> {
  constructor(userId: string) {
    super(
      'CONTENTION',
      `the state of ${userId} changed ${CONFLICTS_MAX} times while it was being written`,
    )
  }
}

/**
 * Commits that may find the version moved before giving up. Another commit is about 0.2 ms of
 * Redis.
 */
export const CONFLICTS_MAX = 100

/**
 * Applies one update. Nothing is written when it says nothing new; nor, without a lease or a claim,
 * to an order that has left the hot state meanwhile: only the owner of its connection brings an
 * order back, and a connection that was removed has none (MUL-07).
 * @param known what is there, as far as the caller knows; when it has moved, it is loaded
 * @throws {FencedError} the right to write was lost
 * @throws {ContentionError}
 */
export async function applyUpdate(
  writer: StateWriter,
  target: Target,
  update: OrderUpdate,
  known: LoadedSlice | null = null,
): Promise<Applied> {
  return applyUpdates(writer, target, () => [update], known)
}

/**
 * As `applyUpdate`, for updates that depend on what is there: `decide` sees the loaded slice and
 * names the updates, applied as one step. It is asked again after a clash, and before nothing is
 * written for what is only remembered.
 */
export async function applyUpdates(
  writer: StateWriter,
  target: Target,
  decide: (loaded: LoadedSlice) => readonly OrderUpdate[],
  known: LoadedSlice | null = null,
): Promise<Applied> {
  const { orderKey, symbol, fence } = target
  const place = placeOf(orderKey, symbol)
  return retryOnConflict(writer.store, orderKey.userId, async (isFirst) => {
    const cache = isFirst ? writer.cache.slice(place) : null
    let loaded = cache ?? (isFirst ? known : null) ?? (await readOrder(writer, place))
    let step = stepOf(writer, target, loaded, decide(loaded))
    if (isEmpty(step) && cache !== null) {
      loaded = await readOrder(writer, place)
      step = stepOf(writer, target, loaded, decide(loaded))
    }
    if (isEmpty(step)) return { ...loaded, changes: step.changes }
    if (loaded.isArchived && fence.kind === 'version') return { ...loaded, changes: [] }
    const result = await commitStep(writer, place, loaded, step, fence)
    if (result.kind === 'committed') return result.applied
    if (result.kind === 'fenced')
      throw new FencedError(`${orderKey.id} of ${orderKey.connectionId}`)
    if (result.kind === 'conflict') return CONFLICT
    throw new InvariantError(`a commit that takes no trade was answered ${result.kind}`)
  })
}

/** Reads a slice, and what is remembered of the user is measured by it. */
export async function readOrder(
  { store, cache }: StateWriter,
  place: Place,
  options?: Readonly<{ archived?: boolean }>,
): Promise<LoadedSlice> {
  const loaded = await store.loadSlice(place.userId, place, options)
  cache.read(place.userId, loaded.version)
  return loaded
}

/**
 * The record of a connection's account, as the store has it; `null`: it was never read, or is
 * forgotten.
 */
export async function loadAccount(
  store: Store,
  { userId, connectionId }: ConnectionRef,
): Promise<Account | null> {
  const { slice } = await store.loadSlice(
    userId,
    { orderId: '', connectionId, symbol: '' },
    { archived: false },
  )
  return slice.account
}

const CONFLICT = Symbol('conflict')

/**
 * Tries until nobody was faster. What has clashed once goes on in a line of its user's, one after
 * the other within this process, so that a crowd does not clash with itself: it is as long as what
 * the process works on at once.
 */
async function retryOnConflict<T>(
  store: Store,
  userId: string,
  attempt: (isFirst: boolean) => Promise<T | typeof CONFLICT>,
): Promise<T> {
  const first = await attempt(true)
  if (first !== CONFLICT) return first
  return inLine(store, userId, async () => {
    for (let conflicts = 1; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const done = await attempt(false)
      if (done !== CONFLICT) return done
    }
    throw new ContentionError(userId)
  })
}

/** Of each store: the last in the line of each user. */
const lines = new WeakMap<Store, Map<string, Promise<unknown>>>()

async function inLine<T>(store: Store, userId: string, piece: () => Promise<T>): Promise<T> {
  const ofStore = lines.get(store) ?? new Map<string, Promise<unknown>>()
  lines.set(store, ofStore)
  const done = (ofStore.get(userId) ?? Promise.resolve()).then(piece, piece)
  ofStore.set(userId, done)
  try {
    return await done
  } finally {
    if (ofStore.get(userId) === done) ofStore.delete(userId)
  }
}

/** Takes a trade in order to send it, or takes leave to change what is at the broker. */
type SendFence = Extract<Fence, { kind: 'take' | 'change' }>

/**
 * What a commit is to be, by what was loaded. `stale`: what it was decided from is of another
 * version; it is decided anew.
 */
export type Decision =
  Readonly<{ fence: SendFence; updates: readonly OrderUpdate[] }> | 'stale' | null

export type ClaimResult =
  | Readonly<{ kind: 'taken'; applied: Applied; claim: string; globalHalt: Halt | null }>
  /** There is nothing to take. */
  | Readonly<{ kind: 'left'; loaded: LoadedSlice }>
  | (TakeRefusal & Readonly<{ loaded: LoadedSlice }>)

/**
 * Takes a trade in the step that applies the updates `decide` names; `null`: it is to be left
 * alone. Whatever forbids sending it is answered, and then nothing was written.
 * @param known what is there; when it has moved, it is loaded
 */
export async function claimOrder(
  writer: StateWriter,
  orderKey: OrderKey,
  symbol: string,
  decide: (loaded: LoadedSlice) => Promise<Decision>,
  known: LoadedSlice,
): Promise<ClaimResult> {
  const place = placeOf(orderKey, symbol)
  return retryOnConflict<ClaimResult>(writer.store, orderKey.userId, async (isFirst) => {
    const loaded = isFirst ? known : await readOrder(writer, place, { archived: false })
    const decided = await decide(loaded)
    if (decided === null) return { kind: 'left', loaded }
    if (decided === 'stale') return CONFLICT
    const { fence, updates } = decided
    const step = stepOf(writer, { orderKey, symbol, fence }, loaded, updates)
    const result = await commitStep(writer, place, loaded, step, fence)
    if (result.kind === 'committed') {
      const { applied, globalHalt } = result
      return { kind: 'taken', applied, claim: applied.claim ?? '', globalHalt }
    }
    if (result.kind === 'fenced')
      throw new FencedError(`${orderKey.id} of ${orderKey.connectionId}`)
    return result.kind === 'conflict' ? CONFLICT : { ...result, loaded }
  })
}

type Step = Readonly<{
  slice: Slice
  changes: readonly Change[]
  writes: Commit['writes']
  events: Commit['events']
}>

function stepOf(
  { clock }: StateWriter,
  target: Target,
  loaded: LoadedSlice,
  updates: readonly OrderUpdate[],
): Step {
  const { orderKey, symbol, fence } = target
  const now = isoTime(clock.now())
  const back = fence.kind === 'lease' && updates.length > 0 ? returning(loaded) : null
  const changes: Change[] = []
  let slice = back === null ? loaded.slice : { ...loaded.slice, order: broughtBack(back, now) }
  for (const update of back === null
    ? updates
    : [...updates, { type: 'stop_stands', at: now } as const]) {
    const reduced = reduce(slice, update, orderKey)
    slice = reduced.slice
    changes.push(...reduced.changes)
  }
  const hot = back === null ? loaded.slice : { ...loaded.slice, order: null }
  const writes = writesOf(orderKey.connectionId, symbol, hot, slice)
  const report = project(orderKey.userId, changes, now, loaded.cashElsewhere)
  return { slice, changes, writes, events: back === null ? report : [openAgain(now), ...report] }
}

/**
 * An order that was open when its connection was removed, and that the first reading after its
 * return did not list: brokers list an order a moment late. Any later report brings the order back,
 * whether or not the report says anything new: an order that stays in the archive is in no limit
 * and in no client's state.
 */
const returning = ({ isArchived, slice: { order } }: LoadedSlice): Order | null =>
  isArchived && order !== null && isOpenOrder(order) ? order : null

/** Clients dropped the order with its connection, and no event tells the whole of an order. */
const openAgain = (timestamp: string): LoggedEvent => ({
  event: 'state.resync',
  payload: { reason: 'An order from before its connection was removed is open', timestamp },
})

type Committed = Readonly<{ kind: 'committed'; applied: Applied; globalHalt: Halt | null }>

async function commitStep(
  { store, cache, onCommitted }: StateWriter,
  place: Place,
  loaded: LoadedSlice,
  { slice, writes, events, changes }: Step,
  fence: Fence,
): Promise<Committed | Exclude<CommitResult, { kind: 'committed' }>> {
  const { userId } = place
  if (!isOf(loaded, place))
    throw new InvariantError(`what was loaded for ${loaded.at.symbol} was used for ${place.symbol}`)
  const result = await store.commit(userId, {
    expectVersion: loaded.version,
    fence,
    writes,
    events,
  })
  if (result.kind === 'conflict') cache.refused(userId, loaded.version)
  if (result.kind !== 'committed') return result
  onCommitted(userId, changes)
  const { version, globalHalt } = result
  const claim =
    fence.kind === 'take' || fence.kind === 'resolve' ? `${version} ${fence.by}` : loaded.claim
  const applied = { ...loaded, slice, changes, version, claim, isArchived: false }
  cache.committed(userId, loaded.version, applied)
  return { kind: 'committed', applied, globalHalt }
}

/**
 * A position that was not read looks like none: booked from it, an execution would begin another
 * one.
 */
const isOf = ({ at }: LoadedSlice, { orderId, connectionId, symbol }: Place): boolean =>
  at.orderId === orderId && at.connectionId === connectionId && at.symbol === symbol

const isEmpty = ({ writes, events }: Step): boolean => writes.length === 0 && events.length === 0

const placeOf = ({ userId, connectionId, id: orderId }: OrderKey, symbol: string): Place => ({
  userId,
  orderId,
  connectionId,
  symbol,
})

/**
 * The records that differ, by content: reducing a repeat makes equal records, not the same ones.
 */
function writesOf(connectionId: string, symbol: string, before: Slice, next: Slice): Write[] {
  const writes: Write[] = []
  if (next.order !== null && differs(withoutWaiting(before.order), withoutWaiting(next.order))) {
    writes.push({ kind: 'order', order: next.order }, ...refsOf(before.order, next.order))
  }
  if (differs(before.position, next.position)) {
    writes.push({ kind: 'position', connectionId, symbol, position: next.position })
  }
  if (next.account !== null && differs(before.account, next.account)) {
    writes.push({ kind: 'account', account: next.account })
  }
  return writes
}

/**
 * Words for a market order on its way. Once it was acknowledged, one after another says nothing
 * that anybody acts on; an order that rests may be replaced from `new` on.
 */
export const ON_ITS_WAY: ReadonlySet<BrokerStatus> = new Set(['accepted', 'pending_new', 'new'])

/**
 * The order without them, so that they alone are no reason to write: that would be one commit more
 * for every order.
 */
function withoutWaiting(order: Order | null): Order | null {
  if (order === null || order.orderType !== 'market' || !order.placements.some(isOnItsWay))
    return order
  return {
    ...order,
    placements: order.placements.map((one) => (isOnItsWay(one) ? { ...one, working: null } : one)),
  }
}

const isOnItsWay = ({ agreed, working }: Placement): boolean =>
  agreed && working !== null && ON_ITS_WAY.has(working.status)

/** Most records that differ do so in a plain field, and then nothing else is compared. */
function differs<T extends object>(before: T | null, next: T | null): boolean {
  if (before === null || next === null || before === next) return before !== next
  const changed = (Object.keys({ ...before, ...next }) as (keyof T)[]).filter(
    (key) => before[key] !== next[key],
  )
  const isPlain = (key: keyof T): boolean => !isObject(before[key]) || !isObject(next[key])
  return (
    changed.some(isPlain) ||
    changed.some((key) => JSON.stringify(before[key]) !== JSON.stringify(next[key]))
  )
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
