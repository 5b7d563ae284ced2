import type { Redis } from 'ioredis'
import type { OrderIntent } from '#domain'
import { parkedKey } from './keys.ts'
import { firstVersion, readRecord } from './records.ts'

/** The fields that are shown of an order that waits to be sent. */
type Terms = Pick<
  OrderIntent,
  | 'userId'
  | 'connectionId'
  | 'tradeId'
  | 'symbol'
  | 'side'
  | 'orderType'
  | 'quantity'
  | 'notional'
  | 'limitPrice'
  | 'stopPrice'
>

/**
 * An order that cannot be sent for now, and that the broker does not have. Times are the store's.
 */
export type ParkedOrder = Terms &
  Readonly<{
    schema: 1
    reason: string
    /** When a worker first parked the order. */
    since: string
    /** When a worker last found that the order has to wait. */
    seenAt: string
  }>

/**
 * Notes on the orders that wait to be sent. A note is no claim: it holds the fields of an order
 * that are shown, and since when the order waits. A note expires soon after a worker last noted it,
 * so that a note that was never cleared does no harm.
 */
export interface ParkedOrders {
  /**
   * Notes that an order waits.
   * @returns for how many ms the order has been waiting; 0 also if too many orders wait to be noted
   */
  note(intent: Terms, reason: string): Promise<number>
  /** For how many ms the order has been waiting; 0 if it is not noted. */
  waitingMs(userId: string, tradeId: string): Promise<number>
  clear(userId: string, tradeId: string): Promise<void>
}

/** Orders of one user that are noted at once. */
export const PARKED_MAX = 1_000
/**
 * A note counts for this long after it was last written; jobs of parked orders come back within
 * seconds.
 */
const PARKED_SEEN_MS = 30_000
/** The notes of a user are deleted this long after the last one was written. */
const NOTES_TTL_MS = 3_600_000

const parkedRecord = firstVersion<ParkedOrder>()

export function createParkedOrders(redis: Redis): ParkedOrders {
  const known = async (userId: string, tradeId: string) => {
    const [time, text] = await Promise.all([redis.time(), redis.hget(parkedKey(userId), tradeId)])
    const nowMs = msOf(time)
    const note = readRecord(parkedRecord, tradeId, text)
    return { nowMs, note: note !== null && isFresh(note, nowMs) ? note : null }
  }
  /** Deletes the notes of orders that no longer wait. @returns `true` if there were such notes */
  const prune = async (key: string, nowMs: number): Promise<boolean> => {
    const notes = Object.entries(await redis.hgetall(key))
    const stale = notes.flatMap(([id, text]) =>
      isFresh(readRecord(parkedRecord, id, text), nowMs) ? [] : [id],
    )
    if (stale.length > 0) await redis.hdel(key, ...stale)
    return stale.length > 0
  }
  return {
    async note({ userId, tradeId, ...terms }, reason) {
      const key = parkedKey(userId)
      const [{ nowMs, note }, count] = await Promise.all([known(userId, tradeId), redis.hlen(key)])
      if (note === null && count >= PARKED_MAX && !(await prune(key, nowMs))) return 0
      const { connectionId, symbol, side, orderType, quantity, notional, limitPrice, stopPrice } =
        terms
      const shown = {
        connectionId,
        symbol,
        side,
        orderType,
        quantity,
        notional,
        limitPrice,
        stopPrice,
      }
      const seenAt = new Date(nowMs).toISOString()
      const since = note?.since ?? seenAt
      const record: ParkedOrder = { schema: 1, userId, tradeId, ...shown, reason, since, seenAt }
      await redis.hset(key, tradeId, JSON.stringify(record))
      await redis.pexpire(key, NOTES_TTL_MS)
      return nowMs - Date.parse(since)
    },
    async waitingMs(userId, tradeId) {
      const { nowMs, note } = await known(userId, tradeId)
      return note === null ? 0 : nowMs - Date.parse(note.since)
    },
    clear: async (userId, tradeId) => void (await redis.hdel(parkedKey(userId), tradeId)),
  }
}

/** Orders of a user that wait now; only that of `tradeId` if it is given. */
export async function readParked(
  redis: Redis,
  userId: string,
  tradeId?: string,
): Promise<ParkedOrder[]> {
  const key = parkedKey(userId)
  const [time, texts] = await Promise.all([
    redis.time(),
    tradeId === undefined ? redis.hvals(key) : redis.hmget(key, tradeId),
  ])
  return texts
    .flatMap((text) => readRecord(parkedRecord, 'parked', text) ?? [])
    .filter((note) => isFresh(note, msOf(time)))
}

const isFresh = ({ seenAt }: ParkedOrder, nowMs: number): boolean =>
  nowMs - Date.parse(seenAt) < PARKED_SEEN_MS
const msOf = ([seconds, micros]: readonly (number | string)[]): number =>
  Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
