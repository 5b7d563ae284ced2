import { z } from 'zod'

/**
 * The kinds of faults, by their names in the control API. A request fault affects an HTTP request;
 * a stream fault affects an upgrade, an authentication or an event of a stream; an order fault
 * affects a change of an order.
 */
export const requestFaultKinds = [
  /** The connection is cut before the request is read: the request has no effect. */
  'lose_request',
  /** The request is processed, then the connection is cut without an answer. */
  'drop_answer',
  /** The request is processed; the answer waits for `delayMs`. */
  'delay_answer',
  /**
   * The request is read, and processed `delayMs` later, even if the client has given up: its order
   * appears late.
   */
  'delay_request',
  /** The request is answered with `status` and not processed. */
  'error_before',
  /** The request is processed, then answered with `status`. */
  'error_after',
  /** The answer is 429; `headers: false` omits Retry-After and X-RateLimit. */
  'rate_limit',
  /** The request is not processed; the answer is a proxy's HTML page with `status`. */
  'html_error',
  /** The request is processed; the answer is 200 with half of its JSON. */
  'truncated_answer',
  /** The request is processed; the answer is 200 without a body. */
  'empty_answer',
  /** The answer is 401 with the code 40110000: the key is valid but lacks the permission. */
  'not_permitted',
] as const

const streamFaultKinds = [
  /** The sockets that should have received the event are closed instead. */
  'close_stream',
  /** From this event on the currently open sockets stay open but receive nothing. */
  'mute_stream',
  'lose_events',
  'duplicate_events',
  /** The next `count` events (default 2) are kept, then sent in reverse order. */
  'reorder_events',
  /** Events are sent as text frames instead of the usual binary frames. */
  'text_frames',
  /** Upgrades are answered 429. */
  'refuse_upgrade',
  /**
   * Data streams: an authentication is answered with error 406, as if the key had another
   * connection.
   */
  'connection_limit',
  /** Right credentials are answered like wrong credentials. */
  'reject_auth',
  /** Event streams: an event is dropped, and the reader gets the notice that it was too slow. */
  'drop_for_slowness',
  /** Event streams: the stream sends the comment ": internal server error" and ends. */
  'end_with_error',
] as const

const orderFaultKinds = [
  /** The order is answered 200 and rejected later. */
  'reject_order',
  /** A canceled order is filled after all: the venue matched first. */
  'fill_after_cancel',
  /** A fill is undone after its report. */
  'bust_trade',
  /**
   * A fill is changed after its report, to `price` (default one cent more) and `qty` (default
   * unchanged).
   */
  'correct_trade',
  /** After its last fill an order is overfilled by `qty` (default 1). */
  'overfill',
  /**
   * A submitted order is missing in lists and look-ups for `delayMs` of the market's time; its
   * events are sent as usual.
   */
  'hide_order',
  /**
   * From a fill on, and for `delayMs` of the market's time, positions are shown in their state from
   * before the fill.
   */
  'stale_positions',
  /** A fill becomes an activity only after `delayMs` of the market's time. */
  'late_activity',
  /**
   * A cancel is accepted and stays pending, for `delayMs` of the market's time or until the order
   * ends otherwise.
   */
  'stuck_cancel',
  /** A cancel is accepted, then refused. */
  'reject_cancel',
  /** A replacement is accepted; the original fills first, in full or by `qty`. */
  'fill_before_replace',
  /** A replacement is accepted, then refused. */
  'reject_replace',
  /**
   * A replacement gets its requested quantity minus earlier fills, instead of the whole quantity.
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
 * An armed fault. It fires on the `nth` (default 1) match and on `count` (default 1) matches in
 * total.
 */
export const faultShape = z.strictObject({
  kind: z.enum([...requestFaultKinds, ...streamFaultKinds, ...orderFaultKinds]),
  /** Limits the fault to this key's account. */
  keyId: z.string().min(1).max(128).exactOptional(),
  nth: z.int().min(1).max(COUNT_MAX).exactOptional(),
  count: z.int().min(1).max(COUNT_MAX).exactOptional(),
  /** Request faults: limits the fault to this method. */
  method: z.enum(['GET', 'POST', 'PATCH', 'PUT', 'DELETE']).exactOptional(),
  /**
   * Request faults: limits the fault to this path; a final `*` matches every path with the prefix.
   */
  path: z.string().startsWith('/').max(256).exactOptional(),
  /** Stream faults: limits the fault to this stream. */
  stream: z.enum(['trade', 'data', 'events']).exactOptional(),
  /** Of `error_before`, `error_after` and `html_error`: default 500, 500 and 503. */
  status: z.int().min(400).max(599).exactOptional(),
  /**
   * Of `delay_answer` and `delay_request`: default 35000, longer than the SDK's own timeout. Of
   * order faults that show a change late: default 10000.
   */
  delayMs: z.int().min(0).max(DELAY_MS_MAX).exactOptional(),
  /** Of `rate_limit`: true (default) adds Retry-After and X-RateLimit to the answer. */
  headers: z.boolean().exactOptional(),
  /** Of `correct_trade`; `qty` also of `overfill` and `fill_before_replace`. */
  price: amount.exactOptional(),
  qty: amount.exactOptional(),
})
export type Fault = z.output<typeof faultShape>

/** An armed fault with its numbers of matches (`seen`) and of firings so far. */
export type ArmedFault = Fault & Readonly<{ id: string; seen: number; fired: number }>
