import { z } from 'zod'

/**
 * What can be made to fail, in the words of the control API. A request fault meets an HTTP request,
 * a stream fault an upgrade, an authentication or an event of a stream, an order fault a change of
 * an order.
 */
export const requestFaultKinds = [
  /** Cut before it is read: nothing happened. */
  'lose_request',
  /** Worked on, then cut without an answer. */
  'drop_answer',
  /** Worked on, answered after `delayMs`. */
  'delay_answer',
  /**
   * Read, and worked on `delayMs` later, also when the client has given up: an order that comes to
   * light late.
   */
  'delay_request',
  /** Answered with `status` instead of being worked on. */
  'error_before',
  /** Worked on, then answered with `status`. */
  'error_after',
  /** 429; `headers: false` leaves out Retry-After and X-RateLimit. */
  'rate_limit',
  /** Not worked on; a proxy's HTML page with `status`. */
  'html_error',
  /** Worked on; 200 with half of its JSON. */
  'truncated_answer',
  /** Worked on; 200 with no body. */
  'empty_answer',
  /** 401 with the code 40110000: the key is known but may not do this. */
  'not_permitted',
] as const

const streamFaultKinds = [
  /** The sockets that should have got the event are closed instead. */
  'close_stream',
  /** From this event on the sockets open now stay up and hear nothing. */
  'mute_stream',
  'lose_events',
  'duplicate_events',
  /** The next `count` events (default 2) are kept, then sent last first. */
  'reorder_events',
  /** Events as text frames where binary ones are usual. */
  'text_frames',
  /** Upgrades are answered 429. */
  'refuse_upgrade',
  /**
   * Data streams: an authentication is answered with error 406 while the key has another
   * connection.
   */
  'connection_limit',
  /** Right credentials are answered like wrong ones. */
  'reject_auth',
  /** Event streams: an event is not sent, and the reader is told that it was too slow. */
  'drop_for_slowness',
  /** Event streams: the comment ": internal server error", and the end. */
  'end_with_error',
] as const

const orderFaultKinds = [
  /** Answered 200, rejected later. */
  'reject_order',
  /** A canceled order is filled after all: the venue matched first. */
  'fill_after_cancel',
  /** A fill is undone after it was told. */
  'bust_trade',
  /**
   * A fill is changed after it was told, to `price` (default one cent more) and `qty` (default the
   * same).
   */
  'correct_trade',
  /** After its last fill an order is filled by `qty` more (default 1). */
  'overfill',
  /**
   * A submitted order is in no list and no look-up for `delayMs` of the market's time; its events
   * come as ever.
   */
  'hide_order',
  /**
   * From a fill on, and for `delayMs` of the market's time, positions are shown as they were before
   * it.
   */
  'stale_positions',
  /** A fill becomes an activity only after `delayMs` of the market's time. */
  'late_activity',
  /**
   * A cancel is accepted and stays asked, for `delayMs` of the market's time or until the order
   * ends otherwise.
   */
  'stuck_cancel',
  /** A cancel is accepted, then refused. */
  'reject_cancel',
  /** A replacement is accepted; the original fills first, all or `qty` of it. */
  'fill_before_replace',
  /** A replacement is accepted, then refused. */
  'reject_replace',
  /**
   * A replacement gets what its quantity leaves after what was filled before, instead of all of it.
   */
  'replace_remaining',
] as const

export type RequestFaultKind = (typeof requestFaultKinds)[number]
export type StreamFaultKind = (typeof streamFaultKinds)[number]
export type OrderFaultKind = (typeof orderFaultKinds)[number]

const COUNT_MAX = 1_000_000
const DELAY_MS_MAX = 600_000
const amount = z.string().regex(/^\d{1,15}(\.\d{1,9})?$/, 'a decimal string above zero')

/**
 * A fault as it is armed. It fires on the `nth` (default 1) thing it matches and on `count`
 * (default 1) in all.
 */
export const faultShape = z.strictObject({
  kind: z.enum([...requestFaultKinds, ...streamFaultKinds, ...orderFaultKinds]),
  /** Only this key's account. */
  keyId: z.string().min(1).max(128).exactOptional(),
  nth: z.int().min(1).max(COUNT_MAX).exactOptional(),
  count: z.int().min(1).max(COUNT_MAX).exactOptional(),
  /** Request faults: only this method. */
  method: z.enum(['GET', 'POST', 'PATCH', 'PUT', 'DELETE']).exactOptional(),
  /** Request faults: only this path; with a final `*` every path that begins so. */
  path: z.string().startsWith('/').max(256).exactOptional(),
  /** Stream faults: only this stream. */
  stream: z.enum(['trade', 'data', 'events']).exactOptional(),
  /** Of `error_before`, `error_after` and `html_error`: default 500, 500 and 503. */
  status: z.int().min(400).max(599).exactOptional(),
  /**
   * Of `delay_answer` and `delay_request`: default 35000, past the SDK's own timeout. Of what is
   * shown late: default 10000.
   */
  delayMs: z.int().min(0).max(DELAY_MS_MAX).exactOptional(),
  /** Of `rate_limit`: whether the answer says when to come back. Default true. */
  headers: z.boolean().exactOptional(),
  /** Of `correct_trade`; `qty` also of `overfill` and `fill_before_replace`. */
  price: amount.exactOptional(),
  qty: amount.exactOptional(),
})
export type Fault = z.output<typeof faultShape>

/** A fault that waits, with how often it matched and fired so far. */
export type ArmedFault = Fault & Readonly<{ id: string; seen: number; fired: number }>
