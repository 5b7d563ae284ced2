import type { Account, Order, Placement, Position } from '#domain'
import { FillcastError } from '#runtime'
import type { Health, Tombstone } from './record-types.ts'

/**
 * A stored record that this version of the code cannot read. The record is left unchanged, and the
 * caller stops working on it.
 */
export class RecordError extends FillcastError<'RECORD_UNREADABLE'> {
  constructor(field: string, why: string) {
    super('RECORD_UNREADABLE', `record ${field} cannot be read: ${why}`)
  }
}

/**
 * A kind of record: the version in which it is written, and the upgrade from the version before
 * (versions n and n - 1 are read, CRA-09).
 */
export type RecordKind<T> = Readonly<{
  schema: number
  upgrade: ((before: Record<string, unknown>) => T) | null
}>

/**
 * Reads one record; `null` if there is none. Unknown fields are kept.
 * @throws {RecordError}
 */
export function readRecord<T>(kind: RecordKind<T>, field: string, text: string): T
export function readRecord<T>(
  kind: RecordKind<T>,
  field: string,
  text: string | null | undefined,
): T | null
export function readRecord<T>(
  kind: RecordKind<T>,
  field: string,
  text: string | null | undefined,
): T | null {
  if (text === null || text === undefined) return null
  let record: unknown
  try {
    record = JSON.parse(text)
  } catch {
    throw new RecordError(field, 'it is not JSON')
  }
  if (typeof record !== 'object' || record === null || !('schema' in record))
    throw new RecordError(field, 'it has no schema')
  if (record.schema === kind.schema) return record as T
  if (record.schema === kind.schema - 1 && kind.upgrade !== null) return kind.upgrade({ ...record })
  throw new RecordError(
    field,
    `its schema is ${String(record.schema)}, this code reads ${kind.schema}`,
  )
}

/** Before the second version an order had one placement, whose fields were the order's own. */
function orderFromFirst(before: Record<string, unknown>): Order {
  const { clientOrderId, brokerOrderId, working, reportedQuantity, held, final, ...kept } =
    before as Record<string, unknown> & Order
  const { quantity, limitPrice, stopPrice, status, cumulativeQuantity, totalCost } = kept
  const entry = {
    leg: 'entry',
    replacement: 0,
    agreed: true,
    clientOrderId,
    brokerOrderId,
    quantity,
    limitPrice,
    stopPrice,
    status,
    working,
    final,
    cumulativeQuantity,
    totalCost,
    reportedQuantity,
    held,
    busted: null,
    total: null,
  } as Placement
  const hasEnded = ['filled', 'canceled', 'expired', 'rejected', 'denied', 'replaced'].includes(
    status,
  )
  return {
    ...kept,
    schema: 2,
    trailPrice: null,
    trailPercent: null,
    extendedHours: false,
    takeProfit: null,
    stopLoss: null,
    attemptedAt: kept.claimedAt,
    attemptEndedAt: null,
    endedAt: hasEnded
      ? (kept.lastExecutionAt ?? kept.rejection?.at ?? kept.submittedAt ?? kept.claimedAt)
      : null,
    placements: [entry],
    replaces: [],
    replaceResults: [],
    busts: [],
  }
}

const accountFromFirst = (before: Record<string, unknown>): Account => {
  const kept = before as unknown as Account
  const fresh = {
    activitiesReadTo: kept.executionsReadTo,
    activityIds: [],
    today: null,
    costsAdoptedOn: null,
  }
  return { ...kept, ...fresh, schema: 2 }
}

const positionFromFirst = (before: Record<string, unknown>): Position => ({
  ...(before as unknown as Position),
  schema: 2,
  stopLossFrom: null,
})

const healthFromFirst = (before: Record<string, unknown>): Health => {
  const { state, reason, since, failures } = before as Pick<
    Health,
    'state' | 'reason' | 'since'
  > & { failures: number }
  const cause = state === 'up' ? null : failures > 0 ? 'failing' : 'broken'
  return { schema: 2, state, cause, doubts: 0, doubtSince: null, reason, since }
}

export const healthRecord: RecordKind<Health> = { schema: 2, upgrade: healthFromFirst }
export const orderRecord: RecordKind<Order> = { schema: 2, upgrade: orderFromFirst }
export const accountRecord: RecordKind<Account> = { schema: 2, upgrade: accountFromFirst }
export const positionRecord: RecordKind<Position> = { schema: 2, upgrade: positionFromFirst }

/** A tombstone is stored as the hash alone, because there may be many tombstones. */
export const readTombstone = (text: string): Tombstone => ({
  parametersHash: text === '' ? null : text,
})

/** A kind of record that has had only one version. */
export const firstVersion = <T>(): RecordKind<T> => ({ schema: 1, upgrade: null })
