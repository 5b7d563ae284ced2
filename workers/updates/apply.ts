import type { LoggedEvent } from '#contract'
import { type Change, type Landing, type OrderUpdate, reduce, type Slice } from '#domain'
import { type Clock, FillcastError, isoTime } from '#runtime'
import type { CommitResult, Fence, LoadedSlice, SliceAddress, Store, TakeRefusal, Write } from '#store'
import { project } from './project.ts'

/** The one way in which an update becomes state and events: load, reduce, project, commit; on a clash, load again. */
export type Applier = Readonly<{
  store: Store
  clock: Clock
  /** Hears of every change that was committed: metrics and the log of anomalies. */
  onCommitted(userId: string, changes: readonly Change[]): void
}>

/** Where an update lands; `fence` proves that we may write there. */
export type Target = Readonly<{ landing: Landing; symbol: string; fence: Fence }>

export type Applied = Readonly<{ slice: Slice; changes: readonly Change[]; version: string }>

/** The lease or claim that proved our right to write is somebody else's now. Stop working on it; whoever holds it goes on. */
export class FencedError extends FillcastError<'FENCED'> {
  constructor(what: string) {
    super('FENCED', `${what} belongs to another worker now`)
  }
}

/** The trade may not be sent now. Nothing was written. */
export class TakeRefusedError extends FillcastError<'TAKE_REFUSED'> {
  readonly refusal: TakeRefusal

  constructor(refusal: TakeRefusal) {
    super('TAKE_REFUSED', `the trade may not be sent: ${refusal.kind}`)
    this.refusal = refusal
  }
}

/** Somebody else was faster this often in a row: a defect or an overload, never normal. */
export class ContentionError extends FillcastError<'CONTENTION'> {
  constructor(userId: string) {
    super('CONTENTION', `the state of ${userId} changed ${CLASHES_MAX} times while it was being written`)
  }
}

/** Commits that may find the version moved before giving up. Another commit is about 0.2 ms of Redis. */
export const CLASHES_MAX = 100

/**
 * Applies one update. Nothing is written when it says nothing new.
 * @throws {FencedError} the right to write was lost
 * @throws {TakeRefusedError} with the fence `take` only
 * @throws {ContentionError}
 */
export async function apply(applier: Applier, target: Target, update: OrderUpdate): Promise<Applied> {
  return applyWith(applier, target, () => [update])
}

/**
 * As `apply`, for updates that depend on what is there: `decide` sees the loaded slice and names the updates, applied as one step.
 * It is asked again after a clash.
 */
export async function applyWith(
  { store, clock, onCommitted }: Applier,
  target: Target,
  decide: (loaded: LoadedSlice) => readonly OrderUpdate[],
): Promise<Applied> {
  const { landing, symbol, fence } = target
  const { userId, connectionId } = landing
  const address: SliceAddress = { orderId: landing.id, connectionId, symbol }
  for (let clashes = 0; clashes < CLASHES_MAX; clashes += 1) {
    const loaded = await store.loadSlice(userId, address)
    const { slice, changes } = fold(loaded.slice, decide(loaded), landing)
    const writes = writesOf(address, loaded.slice, slice)
    const events: LoggedEvent[] = project(userId, changes, isoTime(clock.now()))
    if (writes.length === 0 && events.length === 0 && fence.kind !== 'take') {
      return { slice, changes, version: loaded.version }
    }
    const result: CommitResult = await store.commit(userId, { expectVersion: loaded.version, fence, writes, events })
    if (result.kind === 'committed') {
      onCommitted(userId, changes)
      return { slice, changes, version: result.version }
    }
    if (result.kind === 'fenced') throw new FencedError(`${landing.id} of ${connectionId}`)
    if (result.kind !== 'clash') throw new TakeRefusedError(result)
  }
  throw new ContentionError(userId)
}

function fold(slice: Slice, updates: readonly OrderUpdate[], landing: Landing) {
  const changes: Change[] = []
  for (const update of updates) {
    const reduced = reduce(slice, update, landing)
    slice = reduced.slice
    changes.push(...reduced.changes)
  }
  return { slice, changes }
}

/** The records that differ, by content: reducing a repeat makes equal records, not the same ones. */
function writesOf({ connectionId, symbol }: SliceAddress, before: Slice, after: Slice): Write[] {
  const writes: Write[] = []
  if (after.order !== null && differs(before.order, after.order)) writes.push({ kind: 'order', order: after.order })
  if (differs(before.position, after.position)) {
    writes.push({ kind: 'position', connectionId, symbol, position: after.position })
  }
  if (after.account !== null && differs(before.account, after.account)) {
    writes.push({ kind: 'account', account: after.account })
  }
  return writes
}

const differs = (a: object | null, b: object | null): boolean => a !== b && JSON.stringify(a) !== JSON.stringify(b)
