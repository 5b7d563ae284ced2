import type { Redis } from 'ioredis'
import { asideKey } from './keys.ts'

/** An order that was set aside (CRA-08), as an operator has to know it. */
export type QuarantinedOrder = Readonly<{
  userId: string
  connectionId: string
  tradeId: string
  symbol: string
  /** Since when: ISO 8601. */
  at: string
  /** What was being worked on when it was set aside. */
  due: 'submission' | 'cancel' | 'replacement' | 'nothing'
}>

/**
 * An order is shown for this long after whoever follows its account last said that it stands aside.
 */
export const ASIDE_MS = 10 * 60_000
/** Orders kept in the list, over all users; of more, those that were noted last. */
export const ASIDE_MAX = 1_000
/** Orders of one page. */
export const ASIDE_SHOWN_MAX = 100

/**
 * Orders that were set aside, of all users: for operators, who must not need to look through every
 * user's state. A list that forgets by itself: whoever follows an account notes its orders again
 * and again while they stand aside, so that nothing needs taking off, and a list that was lost is
 * soon whole again. Nothing is decided by it.
 */
export interface QuarantinedOrders {
  note(orders: readonly QuarantinedOrder[]): Promise<void>
  /** The oldest first, up to `ASIDE_SHOWN_MAX`, and how many there are. */
  list(): Promise<Readonly<{ orders: readonly QuarantinedOrder[]; total: number }>>
}

/** @param nowMs wall time; processes need to agree to within minutes only */
export function createQuarantinedOrders(redis: Redis, nowMs: () => number): QuarantinedOrders {
  return {
    async note(orders) {
      if (orders.length === 0) return
      const seenAt = nowMs()
      await redis.zadd(
        asideKey,
        'GT',
        ...orders.flatMap((order) => [seenAt, JSON.stringify(order)]),
      )
      await redis.zremrangebyscore(asideKey, '-inf', seenAt - ASIDE_MS)
      await redis.zremrangebyrank(asideKey, 0, -ASIDE_MAX - 1)
    },
    async list() {
      const members = await redis.zrangebyscore(
        asideKey,
        nowMs() - ASIDE_MS,
        '+inf',
        'LIMIT',
        0,
        ASIDE_MAX,
      )
      // What is due may change; what was noted last stands.
      const byTrade = new Map<string, QuarantinedOrder>()
      for (const member of members) {
        const order = JSON.parse(member) as QuarantinedOrder
        byTrade.set(`${order.userId} ${order.tradeId}`, order)
      }
      const orders = [...byTrade.values()].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
      return { orders: orders.slice(0, ASIDE_SHOWN_MAX), total: orders.length }
    },
  }
}
