import type { Order } from '#domain'
import { InvariantError } from '#runtime'
import {
  archiveKey,
  budgetKey,
  controlField,
  controlKey,
  field,
  leaseKey,
  logKey,
  openKey,
  paceDaysKey,
  paceKey,
  stateKey,
  tombstoneKey,
} from './keys.ts'
import { isOpenField } from './open-index.ts'
import { encodeEvent } from './packet.ts'
import {
  ARCHIVE_TTL_MS,
  type Commit,
  EVENTS_PER_COMMIT_MAX,
  type Fence,
  type PaceMax,
  TOMBSTONE_TTL_MS,
  type Write,
  WRITES_PER_COMMIT_MAX,
} from './port.ts'
import { orderRecord, readRecord } from './records.ts'

// A commit in the form of the script's keys and arguments; commit.lua describes their meaning.

type Argument = string | number | Buffer
export type CommitCall = [keyCount: number, ...keysAndArgs: Argument[]]

/** A user's log keeps about this many events (Redis trims in whole nodes, never below). */
export const LOG_ENTRIES_MAX = 1_000
/** A log is forgotten this long after its last event; a client away for longer gets a resync. */
export const LOG_TTL_MS = 86_400_000

/** The changes that the writes cause, field by field. */
type Changes = {
  sets: [name: string, record: string, isOpen: boolean][]
  removals: string[]
  archived: Order[]
}

/** @throws {InvariantError} the commit is too large  @throws {EventUnwritableError} */
export function commitCall(
  userId: string,
  { expectVersion, fence, writes, events }: Commit,
  more: readonly Write[],
): CommitCall {
  const count = writes.length + more.length
  if (count > WRITES_PER_COMMIT_MAX || events.length > EVENTS_PER_COMMIT_MAX) {
    throw new InvariantError(
      `a commit of ${count} records and ${events.length} events is too large`,
    )
  }
  const changes: Changes = { sets: [], removals: [], archived: [] }
  for (const write of writes) note(changes, write)
  for (const write of more) note(changes, write)
  const { sets, removals, archived } = changes
  const packets = events.flatMap((logged) => {
    const { json, channel, a, b, c } = encodeEvent(userId, logged)
    return [logged.event, json, channel, a, b, c]
  })
  const fencing = fencingOf(userId, fence)
  const keys = [
    stateKey(userId),
    logKey(userId),
    openKey(userId),
    ...fencing.keys,
    ...archived.flatMap((order) => [archiveKey(userId, order.id), tombstoneKey(userId, order.id)]),
  ]
  const args = [
    expectVersion,
    ...fencing.args,
    LOG_ENTRIES_MAX,
    LOG_TTL_MS,
    sets.length,
    ...sets.flatMap(([name, record, isOpen]) => [name, record, Number(isOpen)]),
    removals.length,
    ...removals,
    archived.length,
    ARCHIVE_TTL_MS,
    TOMBSTONE_TTL_MS,
    ...archived.flatMap((order) => [
      JSON.stringify(order),
      order.origin,
      order.parametersHash ?? '',
    ]),
    events.length,
    ...packets,
  ]
  return [keys.length, ...keys, ...args]
}

function fencingOf(userId: string, fence: Fence): { keys: string[]; args: Argument[] } {
  switch (fence.kind) {
    case 'lease':
      return { keys: [leaseKey(userId, fence.connectionId)], args: ['lease', '', fence.token] }
    case 'claim':
      return { keys: [], args: ['claim', field.claim(fence.tradeId), fence.claim] }
    case 'resolve':
      return { keys: [], args: ['resolve', field.claim(fence.tradeId), fence.by] }
    case 'version':
      return { keys: [], args: ['version', '', ''] }
    case 'take':
      return leaving(userId, fence, [field.claim(fence.tradeId), fence.by], fence.first)
    case 'change':
      return leaving(userId, fence, ['', ''], false)
  }
}

/** The keys and arguments in the order in which the script reads them. */
function leaving(
  userId: string,
  {
    kind,
    tradeId,
    connectionId,
    revision,
    exposure,
    budget,
    pace,
  }: Extract<Fence, { kind: 'take' | 'change' }>,
  claim: readonly [name: string, by: string],
  first: boolean,
): { keys: string[]; args: Argument[] } {
  const paced =
    pace === null ? [] : [paceKey(userId), paceKey(userId, connectionId), paceDaysKey(userId)]
  return {
    keys: [
      archiveKey(userId, tradeId),
      tombstoneKey(userId, tradeId),
      controlKey(userId),
      budgetKey(userId, connectionId),
      ...paced,
    ],
    args: [
      kind,
      ...claim,
      field.order(tradeId),
      field.cancelMark(tradeId),
      Number(first),
      controlField.connection(connectionId),
      controlField.link(connectionId),
      controlField.connectionHalt(connectionId),
      revision,
      exposure,
      Number(budget),
      ...(pace === null
        ? ['']
        : [pace.day, connectionId, ...maximaOf(pace.user), ...maximaOf(pace.connection)]),
    ],
  }
}

const maximaOf = ({ minute, day }: PaceMax): Argument[] => [minute ?? '', day ?? '']

function note(changes: Changes, write: Write): void {
  const set = (name: string, value: object | null, order: Order | null = null): void => {
    if (value === null) changes.removals.push(name)
    else changes.sets.push([name, JSON.stringify(value), isOpenField(name, order)])
  }
  switch (write.kind) {
    case 'order':
      return set(field.order(write.order.id), write.order, write.order)
    case 'position':
      return set(field.position(write.connectionId, write.symbol), write.position)
    case 'account':
      return set(field.account(write.account.connectionId), write.account)
    case 'health':
      return set(field.health(write.connectionId), write.health)
    case 'cancelMark':
      return set(field.cancelMark(write.tradeId), write.mark)
    case 'waitingMarks':
      return set(field.waitingMarks, { schema: 1, marks: write.marks })
    case 'ref':
      if (write.orderId === null) changes.removals.push(field.ref(write.brokerOrderId))
      else changes.sets.push([field.ref(write.brokerOrderId), write.orderId, false])
      return
    case 'archive':
      changes.archived.push(write.order)
      changes.removals.push(...fieldsOf(write.order))
      return
    case 'forget':
      changes.removals.push(field.account(write.connectionId), field.health(write.connectionId))
  }
}

/** Every field that an order has in the hot state. */
const fieldsOf = ({ id, placements }: Order): string[] => [
  field.order(id),
  field.claim(id),
  field.cancelMark(id),
  ...placements.flatMap(({ brokerOrderId }) =>
    brokerOrderId === null ? [] : [field.ref(brokerOrderId)],
  ),
]

/**
 * The writes that forget connections, given the whole state: our own orders are archived, so that
 * their ids stay taken.
 */
export function forgetting(
  state: Readonly<Record<string, string>>,
  connectionIds: ReadonlySet<string>,
): Write[] {
  const writes: Write[] = []
  for (const [name, text] of Object.entries(state)) {
    if (name.startsWith('order:')) {
      const order = readRecord(orderRecord, name, text)
      if (order !== null && connectionIds.has(order.connectionId))
        writes.push({ kind: 'archive', order })
    } else if (name.startsWith('position:')) {
      const [, connectionId = '', symbol = ''] = name.split(':')
      if (connectionIds.has(connectionId))
        writes.push({ kind: 'position', connectionId, symbol, position: null })
    }
  }
  return writes
}
