import type { RejectionCode } from '#contract'
import type { Denial, Exposure, OrderIntent } from '#domain'
import type { Halt, TakeRefusal } from '#store'

/** Why an order is not sent, by our own rules. */
export type OrderDenial = Denial<RejectionCode>

/** A submission that cannot be sent for a passing reason is given up after this. */
export const PARKED_MS_MAX = 15 * 60_000

export const EXPIRED: OrderDenial = {
  code: 'EXPIRED_BEFORE_SUBMIT',
  message: 'notAfter had passed before the order could be sent',
}

/**
 * A market order is for the price of its moment: if it is parked for long and has no deadline of
 * its own, it is given up.
 * @param parkedMs since the order was first parked; waiting in the queue does not count
 */
export const isParkedTooLong = (
  { orderType, notAfter }: Pick<OrderIntent, 'orderType' | 'notAfter'>,
  parkedMs: number,
  maxMs: number,
): boolean => orderType === 'market' && notAfter === null && parkedMs > maxMs

export const haltedBy = ({ scope, reason }: Halt): OrderDenial => ({
  code: 'HALTED',
  message: `New orders are halted for ${scope === 'global' ? 'everybody' : `this ${scope}`}: ${reason}`,
})

/** True if the halt lets a request with this effect on the position through. */
export const passesHalt = ({ allows }: Halt, exposure: Exposure): boolean =>
  exposure === 'shrinks' || (exposure === 'reduces' && allows === 'reducing')

export const tooMany = ({
  scope,
  max,
  retryAfterMs,
}: Extract<TakeRefusal, { kind: 'over_pace' }>): OrderDenial => {
  const whose = `for this ${scope}, and only orders that reduce a position are sent`
  const message =
    retryAfterMs === null
      ? `${max} orders a day are allowed ${whose} until tomorrow`
      : `${max} orders a minute are allowed ${whose} meanwhile. Try again in ${Math.ceil(retryAfterMs / 1_000)} s`
  return { code: 'TOO_MANY_ORDERS', message }
}

export const disconnected = (why: string): OrderDenial => ({
  code: 'BROKER_DISCONNECTED',
  message: `The order was not sent: ${why}. Connect the broker account, then send it again under a new trade id`,
})
