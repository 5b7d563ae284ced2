import type { Redis } from 'ioredis'
import type { OrderIntent } from '#domain'
import { parkedKey } from './keys.ts'
import { firstVersion, readRecord } from './records.ts'

/** What is shown of an order that waits to be sent. */
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
 * An order that cannot be sent for now, of which nothing is at the broker. Times are the store's.
 */
export type ParkedOrder = Terms &
  Readonly<{
    schema: 1
    reason: string
    /** When it was first parked. */
    since: string
    /** When a worker last found that it has to wait. */
    seenAt: string
  }>

/**
 * Orders that wait to be sent. A note is no claim: it says what to show of an order, and since when
 * the order waits. It is forgotten by itself soon after the last worker saw the order wait, so that
 * a note that nobody took away does no harm.
 */
export interface ParkedOrders {
  /**
   * Notes that an order waits.
   * @returns for how many ms it has been waiting; 0 also where too many wait to be noted
   */
  note(intent: Terms, reason: string): Promise<number>
  /** For how many ms it has been waiting; 0 when it is not noted. */
  waitingMs(userId: string, tradeId: string): Promise<number>
  clear(userId: string, tradeId: string): Promise<void>
}

/** Orders of one user that are noted at once. */
export const PARKED_MAX = 1_000
/**
 * A note counts for this long after it was last seen; jobs of parked orders come back within
 * seconds.
 */
const PARKED_SEEN_MS = 30_000
/** The notes of a user are gone this long after the last one. */
const NOTES_TTL_MS = 3_600_000

const parkedRecord = firstVersion<ParkedOrder>()

export function createParkedOrders(redis: Redis): ParkedOrders {
  const known = async (userId: string, tradeId: string) => {
    const [time, text] = await Promise.all([redis.time(), redis.hget(parkedKey(userId), tradeId)])
    const nowMs = msOf(time)
    const note = readRecord(parkedRecord, tradeId, text)
    return { nowMs, note: note !== null && isFresh(note, nowMs) ? note : null }
  }
  /** Takes away the notes of orders that wait no longer. @returns whether there were any */
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

/** Orders of a user that wait now; one of them, where `tradeId` names it. */
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
