import type { Redis } from 'ioredis'
import type { Account, Order, Position } from '#domain'
import { commitCall, forgetting } from './commit-call.ts'
import { readHalt } from './control.ts'
import { controlField, field, globalControlKey, stateKey } from './keys.ts'
import { isIndexed, mend, readOpen } from './open-index.ts'
import type { Commit, CommitResult, LoadedConnection, Store, WaitingMark } from './port.ts'
import {
  accountRecord,
  firstVersion,
  healthRecord,
  orderRecord,
  positionRecord,
  readRecord,
  readTombstone,
} from './records.ts'
import { type CommitAnswer, commitThenRead, withScripts } from './scripts.ts'
import { cancelMarkRecord, cashOf, loadSlice } from './slice.ts'

const waitingMarksRecord = firstVersion<Readonly<{ marks: readonly WaitingMark[] }>>()

/** The store on Redis. Holds no state of its own. */
export function createStore(connection: Redis): Store {
  const redis = withScripts(connection)
  return {
    loadSlice: (userId, at, { archived = true } = {}) => loadSlice(redis, userId, at, archived),

    async findRefs(userId, brokerOrderIds) {
      if (brokerOrderIds.length === 0) return new Map()
      const orderIds = await redis.hmget(stateKey(userId), ...brokerOrderIds.map(field.ref))
      const refs = new Map<string, string>()
      orderIds.forEach(
        (orderId, index) => orderId !== null && refs.set(brokerOrderIds[index] ?? '', orderId),
      )
      return refs
    },

    version: async (userId) => (await redis.hget(stateKey(userId), field.version)) ?? '0',

    loadConnection: async (userId, connectionId) =>
      connectionOf(await redis.hgetall(stateKey(userId)), connectionId),

    async loadOpen(userId, connectionId) {
      const open = await readOpen(redis, userId)
      if (open !== null) return connectionOf(open, connectionId)
      const records = await redis.hgetall(stateKey(userId))
      await mend(redis, userId, records)
      const { orders, ...rest } = connectionOf(records, connectionId)
      return { ...rest, orders: orders.filter(isIndexed), cancelMarks: [], health: null }
    },

    async loadWaitingMarks(userId) {
      const [version, text] = await redis.hmget(stateKey(userId), field.version, field.waitingMarks)
      return {
        version: version ?? '0',
        marks: readRecord(waitingMarksRecord, field.waitingMarks, text)?.marks ?? [],
      }
    },

    async loadHealth(userId: string, connectionId: string) {
      const name = field.health(connectionId)
      const [version, text] = await redis.hmget(stateKey(userId), field.version, name)
      return { version: version ?? '0', health: readRecord(healthRecord, name, text) }
    },

    async commit(userId: string, commit: Commit): Promise<CommitResult> {
      const removed = commit.writes.flatMap((write) =>
        write.kind === 'forget' ? [write.connectionId] : [],
      )
      const state = removed.length === 0 ? null : await redis.hgetall(stateKey(userId))
      if (state !== null && (state[field.version] ?? '0') !== commit.expectVersion)
        return { kind: 'conflict' }
      const call = commitCall(
        userId,
        commit,
        state === null ? [] : forgetting(state, new Set(removed)),
      )
      if (!('exposure' in commit.fence)) return resultOf(await redis.commit(...call), null)
      const [answer, halt] = await commitThenRead(redis, call, [
        globalControlKey,
        controlField.halt,
      ])
      return resultOf(answer, halt)
    },
  }
}

function connectionOf(
  records: Readonly<Record<string, string>>,
  connectionId: string,
): LoadedConnection {
  const { orders, positions, accounts } = readState(records)
  return {
    version: records[field.version] ?? '0',
    account: accounts.find((account) => account.connectionId === connectionId) ?? null,
    positions: new Map(
      positions.filter((p) => p.connectionId === connectionId).map((p) => [p.symbol, p]),
    ),
    orders: orders.filter((order) => order.connectionId === connectionId),
    cancelMarks: Object.entries(records).flatMap(markOf),
    health: readRecord(
      healthRecord,
      field.health(connectionId),
      records[field.health(connectionId)],
    ),
    cashElsewhere: cashOf(accounts.filter((account) => account.connectionId !== connectionId)),
  }
}

function markOf([name, text]: readonly [string, string]): WaitingMark[] {
  if (!name.startsWith(field.cancelMark(''))) return []
  const { requestedAt } = readRecord(cancelMarkRecord, name, text)
  return [{ tradeId: name.slice(field.cancelMark('').length), requestedAt }]
}

function resultOf(answer: CommitAnswer, globalHalt: string | null): CommitResult {
  switch (answer[0]) {
    case 'committed': {
      const [kind, version, lastEventId] = answer
      return { kind, version, lastEventId, globalHalt: readHalt(controlField.halt, globalHalt) }
    }
    case 'conflict':
    case 'fenced':
      return { kind: answer[0] }
    case 'halted':
      return { kind: answer[0], halt: readHalt(answer[0], answer[1]) }
    case 'archived':
      return { kind: answer[0], order: readRecord(orderRecord, answer[0], answer[1]) }
    case 'ended':
      return { kind: answer[0], tombstone: readTombstone(answer[1]) }
    case 'unusable':
      return { kind: answer[0], isLinked: answer[1] !== '' }
    case 'over_budget':
      return { kind: answer[0], retryAfterMs: answer[1] }
    case 'over_pace': {
      const [kind, scope, max, waitMs] = answer
      return { kind, scope, max, retryAfterMs: waitMs < 0 ? null : waitMs }
    }
  }
}

/** The records of a user's state, sorted by kind. */
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
    else if (name.startsWith('position:'))
      positions.push(...present(readRecord(positionRecord, name, text)))
    else if (name.startsWith('account:'))
      accounts.push(...present(readRecord(accountRecord, name, text)))
  }
  return { orders, positions, accounts }
}

const present = <T>(value: T | null): T[] => (value === null ? [] : [value])
