import type { Redis } from 'ioredis'
import { EVENT_ID_ZERO, padEventId } from '#contract'
import type { Account, Order, Position } from '#domain'
import {
  archiveKey,
  connectionIdsIn,
  controlField,
  controlKey,
  epochKey,
  field,
  logKey,
  stateKey,
  tombstoneKey,
} from './keys.ts'
import { isIndexed, readOpen } from './open-index.ts'
import { type ParkedOrder, readParked } from './parked.ts'
import type { Tombstone } from './record-types.ts'
import { orderRecord, readRecord, readTombstone } from './records.ts'
import { readState } from './store.ts'

/**
 * A user's state at one version, with its position in the log: the state includes every event up to
 * `lastEventId`. Of the orders only those that are not over (see `Store.loadOpen`).
 */
export type UserSnapshot = Readonly<{
  version: string
  lastEventId: string
  orders: readonly Order[]
  positions: readonly Position[]
  accounts: readonly Account[]
}>

/**
 * The reason why a user's figures may not be shown.
 * - `store_lost`: the store has no marker, or the marker changed during the reading: records may be
 *   missing.
 * - `account_unread`: a broker account of the user has no record yet. Its cash and positions are
 *   unknown, which is not zero.
 */
export type UnreadReason = 'store_lost' | 'account_unread'

/**
 * A snapshot, the orders that wait to be sent, and whether the figures cover all of the user's
 * accounts (`unread` null).
 */
export type Figures = Readonly<{
  snapshot: UserSnapshot & Readonly<{ parked?: readonly ParkedOrder[] }>
  unread: UnreadReason | null
}>

/** One entry of a user's event log. `payload` is the JSON that clients get. */
export type LogEntry = Readonly<{ id: string; prev: string; event: string; payload: unknown }>

/** The log after some position: the next entries, and the newest id of the log. */
export type LogPage = Readonly<{ entries: readonly LogEntry[]; top: string }>

/** Reads the records that a user may see. Never writes. */
export interface Reader {
  /** State and log position in one atomic read. */
  snapshot(userId: string): Promise<UserSnapshot>
  /** The snapshot, and whether a client may be shown it. */
  figures(userId: string): Promise<Figures>
  /** The order, from the hot state or from the archive. */
  order(userId: string, tradeId: string): Promise<Order | null>
  /** The note of an order that waits to be sent. */
  parked(userId: string, tradeId: string): Promise<ParkedOrder | null>
  /** The tombstone of a trade that ended; it outlives the order. */
  tombstone(userId: string, tradeId: string): Promise<Tombstone | null>
  /**
   * Up to `limit` entries after `afterId`, oldest first. `top` is read first, so that an entry
   * beyond `top` may already be among them.
   */
  events(userId: string, afterId: string, limit: number): Promise<LogPage>
  /**
   * Id of the last event ever logged for the user, even if the log or the state no longer has that
   * event.
   */
  top(userId: string): Promise<string>
}

export function createReader(redis: Redis): Reader {
  const stateTop = (userId: string): Promise<string | null> =>
    redis.hget(stateKey(userId), field.last)
  // A state that was lost without its log has no last id; the next commit continues after the log's
  // last entry (commit.lua).
  const logTop = async (userId: string): Promise<string> => {
    const [[id] = []] = await redis.xrevrange(logKey(userId), '+', '-', 'COUNT', 1)
    return id === undefined ? EVENT_ID_ZERO : padEventId(id)
  }
  const after = (userId: string, afterId: string, limit: number) =>
    redis.xrange(logKey(userId), `(${streamIdOf(afterId)}`, '+', 'COUNT', limit)
  const reader: Reader = {
    top: async (userId) => (await stateTop(userId)) ?? logTop(userId),
    async figures(userId) {
      // The same marker before and after: the store was not lost between the control set and the
      // state.
      const [marker, names, parked, stored] = await Promise.all([
        redis.get(epochKey),
        redis.hkeys(controlKey(userId)),
        readParked(redis, userId),
        reader.snapshot(userId),
      ])
      const snapshot = { ...stored, parked: await withoutRecord(redis, userId, parked) }
      const isSameStore = marker !== null && (await redis.get(epochKey)) === marker
      if (!isSameStore) return { snapshot, unread: 'store_lost' }
      return { snapshot, unread: isEachRead(names, snapshot.accounts) ? null : 'account_unread' }
    },
    async snapshot(userId) {
      let records = (await readOpen(redis, userId)) ?? (await redis.hgetall(stateKey(userId)))
      let lastEventId = records[field.last]
      if (lastEventId === undefined) {
        // The state is read after the log's end, so that the state includes no event that the end
        // does not cover.
        const end = await logTop(userId)
        records = await redis.hgetall(stateKey(userId))
        lastEventId = records[field.last] ?? end
      }
      const { orders, positions, accounts } = readState(records)
      return {
        version: records[field.version] ?? '0',
        lastEventId,
        orders: orders.filter(isIndexed),
        positions,
        accounts,
      }
    },
    parked: async (userId, tradeId) => (await readParked(redis, userId, tradeId))[0] ?? null,
    async order(userId, tradeId) {
      const name = field.order(tradeId)
      const hot = await redis.hget(stateKey(userId), name)
      return readRecord(orderRecord, name, hot ?? (await redis.get(archiveKey(userId, tradeId))))
    },
    async tombstone(userId, tradeId) {
      const text = await redis.get(tombstoneKey(userId, tradeId))
      return text === null ? null : readTombstone(text)
    },
    async events(userId, afterId, limit) {
      let [top, rows] = await Promise.all([stateTop(userId), after(userId, afterId, limit)])
      if (top === null) {
        top = await logTop(userId)
        rows = await after(userId, afterId, limit)
      }
      return { top, entries: rows.map(([id, values]) => entryOf(id, values)) }
    },
  }
  return reader
}

/** Drops the notes of orders that were sent since: the record of such an order shows its status. */
async function withoutRecord(
  redis: Redis,
  userId: string,
  parked: readonly ParkedOrder[],
): Promise<ParkedOrder[]> {
  if (parked.length === 0) return []
  const records = await redis.hmget(
    stateKey(userId),
    ...parked.map(({ tradeId }) => field.order(tradeId)),
  )
  return parked.filter((_note, index) => records[index] === null)
}

/**
 * Returns whether each linked account of a user's connections has been read. If a connection's
 * account was never found (wrong keys from the start), the connection does not hide the other
 * accounts. If the user has connections, at least one account must have been read.
 * @param names fields of the control set
 */
function isEachRead(names: readonly string[], accounts: readonly Account[]): boolean {
  const read = new Set(accounts.map(({ connectionId }) => connectionId))
  const connections = connectionIdsIn(names)
  const linked = connections.filter((connectionId) =>
    names.includes(controlField.link(connectionId)),
  )
  return (
    linked.every((connectionId) => read.has(connectionId)) &&
    (connections.length === 0 || read.size > 0)
  )
}

/** Redis accepts padded ids, but not in every command; `0000000000000-00000` is `0-0`. */
const streamIdOf = (eventId: string): string =>
  `${Number(eventId.slice(0, 13))}-${Number(eventId.slice(14))}`

function entryOf(id: string, values: string[]): LogEntry {
  const by = new Map<string, string>()
  for (let i = 0; i + 1 < values.length; i += 2) by.set(values[i] ?? '', values[i + 1] ?? '')
  return {
    id: padEventId(id),
    prev: by.get('p') ?? EVENT_ID_ZERO,
    event: by.get('e') ?? '',
    payload: JSON.parse(by.get('d') ?? 'null') as unknown,
  }
}
