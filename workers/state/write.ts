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
import { CONFLICT, CONFLICTS_MAX, retryOnConflict } from './retry.ts'

/**
 * The one way in which an update becomes state and events: load, reduce, project, commit; after a
 * conflict, load again.
 */
export type StateWriter = Readonly<{
  store: Store
  cache: StateCache
  clock: Clock
  /** Called with the changes of every commit: metrics and the log of anomalies. */
  onCommitted(userId: string, changes: readonly Change[]): void
}>

/** The records that an update writes to; `fence` proves the right to write there. */
export type Target = Readonly<{ orderKey: OrderKey; symbol: string; fence: Fence }>

/** The slice after an update, as good as loaded, so that the next update need not load it. */
export type Applied = LoadedSlice & Readonly<{ changes: readonly Change[] }>

/**
 * Another worker holds the lease or the claim that proved our right to write. Stop working on the
 * record; the other worker goes on.
 */
export class FencedError extends FillcastError<'FENCED'> {
  constructor(what: string) {
    super('FENCED', `${what} belongs to another worker now`)
  }
}

/**
 * Applies one update. Two cases end without a commit:
 * - The update changes no record and makes no event.
 * - The order has left the hot state meanwhile, and the fence is neither a lease nor a claim: only
 *   the owner of the order's connection brings an order back, and a removed connection has no owner
 *   (MUL-07).
 *
 * @param known the slice as the caller knows it; if its version has moved, the slice is loaded
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
 * As `applyUpdate`, for updates that depend on the slice: `decide` is given the loaded slice and
 * returns the updates, which are applied as one step. `decide` is called again after a conflict. If
 * a cached slice leads to no commit, the slice is loaded and `decide` is called once more.
 */
export async function applyUpdates(
  writer: StateWriter,
  target: Target,
  decide: (loaded: LoadedSlice) => readonly OrderUpdate[],
  known: LoadedSlice | null = null,
): Promise<Applied> {
  const { orderKey, symbol, fence } = target
  const place = placeOf(orderKey, symbol)
  return writeRetrying(writer.store, orderKey.userId, async (isFirst) => {
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

/** Reads a slice, and checks the cached state of the user against the version read. */
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
 * The stored record of a connection's account; `null`: the account was never read, or its record is
 * gone.
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

/**
 * Retries until a commit finds no conflict. After its first conflict, an attempt waits in a queue
 * of its user, which runs one attempt at a time within this process, so that many attempts do not
 * conflict with each other. The queue is at most as long as the number of jobs that the process
 * runs at once.
 */
async function writeRetrying<T>(
  store: Store,
  userId: string,
  attempt: (isFirst: boolean) => Promise<T | typeof CONFLICT>,
): Promise<T> {
  const first = await attempt(true)
  if (first !== CONFLICT) return first
  return inLine(store, userId, () =>
    retryOnConflict(userId, () => attempt(false), CONFLICTS_MAX - 1),
  )
}

/** Of each store: the last attempt in the queue of each user. */
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

/** Takes a trade to send its order, or takes leave to change an order at the broker. */
type SendFence = Extract<Fence, { kind: 'take' | 'change' }>

/**
 * The commit that was decided from a loaded slice. `stale`: the facts of the decision belong to
 * another version than the slice, so the decision is repeated. `null`: no commit.
 */
export type Decision =
  Readonly<{ fence: SendFence; updates: readonly OrderUpdate[] }> | 'stale' | null

export type ClaimResult =
  | Readonly<{ kind: 'taken'; applied: Applied; claim: string; globalHalt: Halt | null }>
  /** `decide` returned `null`. */
  | Readonly<{ kind: 'left'; loaded: LoadedSlice }>
  | (TakeRefusal & Readonly<{ loaded: LoadedSlice }>)

/**
 * Takes a trade in the commit that applies the updates of `decide`; if `decide` returns `null`, the
 * trade is left alone. If the store refuses the claim, the refusal is returned, and no record was
 * written.
 * @param known the loaded slice; if its version has moved, the slice is loaded again
 */
export async function claimOrder(
  writer: StateWriter,
  orderKey: OrderKey,
  symbol: string,
  decide: (loaded: LoadedSlice) => Promise<Decision>,
  known: LoadedSlice,
): Promise<ClaimResult> {
  const place = placeOf(orderKey, symbol)
  return writeRetrying<ClaimResult>(writer.store, orderKey.userId, async (isFirst) => {
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

/**
 * Clients dropped the order with its connection, and no single event carries a whole order: a
 * resync makes clients load the order again.
 */
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
 * A position that was not read looks like no position: an execution booked from such a slice would
 * begin a second position.
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
 * The records that differ, by content: reducing a repeated update makes records that are equal, but
 * not identical.
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
 * Statuses of a market order between its acceptance and its execution. Once the order was
 * acknowledged, no reader needs a change from one of these statuses to the next. A resting order
 * differs: it can be replaced from `new` on.
 */
export const ON_ITS_WAY: ReadonlySet<BrokerStatus> = new Set(['accepted', 'pending_new', 'new'])

/**
 * The order without these statuses, so that they alone are no reason to write: such writes would
 * cost one more commit for every order.
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

/** Most records that differ do so in a plain field; then no nested field is compared. */
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
