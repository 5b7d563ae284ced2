import type { Redis } from 'ioredis'
import { asideKey } from './keys.ts'

/** A quarantined order (CRA-08), with the fields that an operator needs. */
export type QuarantinedOrder = Readonly<{
  userId: string
  connectionId: string
  tradeId: string
  symbol: string
  /** Since when the order is quarantined: ISO 8601. */
  at: string
  /** The step that was due when the order was quarantined. */
  due: 'submission' | 'cancel' | 'replacement' | 'nothing'
}>

/**
 * An order is shown for this long after the worker that follows its account last noted it as
 * quarantined.
 */
export const ASIDE_MS = 10 * 60_000
/** Orders kept in the list, over all users; of more, the ones that were noted last. */
export const ASIDE_MAX = 1_000
/** Orders of one page. */
export const ASIDE_SHOWN_MAX = 100

/**
 * The quarantined orders of all users: for operators, who should not have to search every user's
 * state. The entries expire: a worker that follows an account notes the account's quarantined
 * orders again and again, so that no order needs removing, and a list that was lost is soon whole
 * again. No decision depends on this list.
 */
export interface QuarantinedOrders {
  note(orders: readonly QuarantinedOrder[]): Promise<void>
  /** The oldest first, up to `ASIDE_SHOWN_MAX`, and the total number. */
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
      // The due step of an order may change; the last note of the order counts.
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
