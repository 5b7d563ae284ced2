import type { Redis } from 'ioredis'
import type { Account, Order, Position } from '#domain'
import { InvariantError } from '#runtime'
import { field, leaseKey, logKey, stateKey } from './keys.ts'
import { encodeEvent } from './packet.ts'
import {
  type CancelMark,
  type Commit,
  type CommitResult,
  EVENTS_PER_COMMIT_MAX,
  type Fence,
  type Health,
  type LoadedConnection,
  type LoadedSlice,
  type SliceAddress,
  type Store,
  type Write,
  WRITES_PER_COMMIT_MAX,
} from './port.ts'
import { accountRecord, firstVersion, orderRecord, positionRecord, readRecord } from './records.ts'
import { withScripts } from './scripts.ts'

/** A user's log keeps about this many events (Redis trims in whole nodes, never below). */
export const LOG_ENTRIES_MAX = 1_000
/** A log is forgotten this long after its last event; a client away for longer gets a resync. */
export const LOG_TTL_MS = 86_400_000

const cancelMarkRecord = firstVersion<CancelMark>()
const healthRecord = firstVersion<Health>()

/** The store on Redis. Holds no state of its own. */
export function createStore(connection: Redis): Store {
  const redis = withScripts(connection)
  return {
    async loadSlice(userId: string, { orderId, connectionId, symbol }: SliceAddress): Promise<LoadedSlice> {
      const names = [
        field.order(orderId),
        field.position(connectionId, symbol),
        field.account(connectionId),
        field.cancelMark(orderId),
      ] as const
      const [version, claim, ...texts] = await redis.hmget(
        stateKey(userId),
        field.version,
        field.claim(orderId),
        ...names,
      )
      const [order, position, account, mark] = texts
      return {
        version: version ?? '0',
        slice: {
          order: readRecord(orderRecord, names[0], order),
          position: readRecord(positionRecord, names[1], position),
          account: readRecord(accountRecord, names[2], account),
        },
        claim: claim ?? null,
        cancelMark: readRecord(cancelMarkRecord, names[3], mark),
      }
    },

    async loadConnection(userId: string, connectionId: string): Promise<LoadedConnection> {
      const records = await redis.hgetall(stateKey(userId))
      const { orders, positions, accounts } = readState(records)
      return {
        version: records[field.version] ?? '0',
        account: accounts.find((account) => account.connectionId === connectionId) ?? null,
        positions: new Map(positions.filter((p) => p.connectionId === connectionId).map((p) => [p.symbol, p])),
        orders: orders.filter((order) => order.connectionId === connectionId),
      }
    },

    async loadHealth(userId: string, connectionId: string) {
      const name = field.health(connectionId)
      const [version, text] = await redis.hmget(stateKey(userId), field.version, name)
      return { version: version ?? '0', health: readRecord(healthRecord, name, text) }
    },

    async commit(userId: string, commit: Commit): Promise<CommitResult> {
      const lease = commit.fence.kind === 'lease' ? leaseKey(userId, commit.fence.connectionId) : stateKey(userId)
      const args = commitArguments(userId, commit)
      const [verdict, version, lastEventId] = await redis.commit(stateKey(userId), logKey(userId), lease, ...args)
      if (verdict === 1) return { kind: 'committed', version, lastEventId }
      return { kind: verdict === 0 ? 'clash' : 'fenced' }
    },
  }
}

/** The records of a user's state, sorted out by kind. */
export function readState(records: Readonly<Record<string, string>>): {
  orders: Order[]
  positions: Position[]
  accounts: Account[]
} {
  const orders: Order[] = []
  const positions: Position[] = []
  const accounts: Account[] = []
  for (const [name, text] of Object.entries(records)) {
    if (name.startsWith('order:')) orders.push(...present(readRecord(orderRecord, name, text)))
    else if (name.startsWith('position:')) positions.push(...present(readRecord(positionRecord, name, text)))
    else if (name.startsWith('account:')) accounts.push(...present(readRecord(accountRecord, name, text)))
  }
  return { orders, positions, accounts }
}

const present = <T>(value: T | null): T[] => (value === null ? [] : [value])

function commitArguments(
  userId: string,
  { expectVersion, fence, writes, events }: Commit,
): (string | number | Buffer)[] {
  if (writes.length > WRITES_PER_COMMIT_MAX || events.length > EVENTS_PER_COMMIT_MAX) {
    throw new InvariantError(`a commit of ${writes.length} records and ${events.length} events is too large`)
  }
  const records = writes.map(recordOf)
  const sets = records.flatMap(([name, value]) => (value === null ? [] : [name, JSON.stringify(value)]))
  const removals = records.flatMap(([name, value]) => (value === null ? [name] : []))
  const packets = events.flatMap((logged) => {
    const { channel, a, b, c } = encodeEvent(userId, logged)
    return [logged.event, JSON.stringify(logged.payload), channel, a, b, c]
  })
  return [
    ...[expectVersion, ...fenceArguments(fence), LOG_ENTRIES_MAX, LOG_TTL_MS],
    ...[sets.length / 2, ...sets, removals.length, ...removals, events.length, ...packets],
  ]
}

function fenceArguments(fence: Fence): [kind: Fence['kind'], field: string, value: string] {
  switch (fence.kind) {
    case 'lease':
      return ['lease', '', fence.token]
    case 'claim':
      return ['claim', field.claim(fence.tradeId), fence.claim]
    case 'take':
      return ['take', field.claim(fence.tradeId), fence.by]
    case 'version':
      return ['version', '', '']
  }
}

function recordOf(write: Write): [name: string, value: object | null] {
  switch (write.kind) {
    case 'order':
      return [field.order(write.order.id), write.order]
    case 'position':
      return [field.position(write.connectionId, write.symbol), write.position]
    case 'account':
      return [field.account(write.account.connectionId), write.account]
    case 'health':
      return [field.health(write.connectionId), write.health]
    case 'cancelMark':
      return [field.cancelMark(write.tradeId), write.mark]
  }
}
