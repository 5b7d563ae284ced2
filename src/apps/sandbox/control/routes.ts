import { z } from 'zod'
import { moneyMoveTypes } from '../broker/activity.ts'
import { Refusal } from '../broker/refusal.ts'
import { faultShape } from '../faults/fault.ts'
import type { Reply } from '../http/router.ts'
import { dataErrorCodes } from '../streams/data-protocol.ts'
import { marketMessageShape } from '../streams/market-message.ts'
import { tradeEvents } from '../streams/trade-update.ts'
import { accountShape, flagsShape, rateLimitShape } from './accounts.ts'
import type { SandboxControl } from './commands.ts'

/**
 * The control calls over HTTP. Bodies are checked; a wrong body is answered with the expected form.
 */
export type ControlHandler = (
  method: string,
  path: string,
  query: URLSearchParams,
  body: unknown,
) => Promise<Reply>

type Command = (body: unknown, query: URLSearchParams, param: string) => unknown

/** One call may advance the time by at most a week. */
const ADVANCE_MS_MAX = 7 * 86_400_000
const amount = z.string().regex(/^\d{1,15}(\.\d{1,9})?$/, 'a decimal string above zero')
const count = z.int().min(1).max(1_000)
const keyId = z.string().min(1).max(128)
const symbol = z.string().min(1).max(32)

/** Strict shapes: a missing optional field is fine, an unknown field is refused as a mistake. */
const shapes = {
  key: z.strictObject({ keyId }),
  flags: flagsShape.extend({ keyId }),
  move: z.strictObject({
    keyId,
    type: z.enum(moneyMoveTypes),
    amount: z.string().regex(/^-?\d{1,15}(\.\d{1,9})?$/, 'a decimal string'),
    symbol: symbol.exactOptional(),
    description: z.string().max(256).exactOptional(),
  }),
  rateLimit: z.strictObject({ keyId, limit: rateLimitShape.exactOptional() }),
  hold: z.strictObject({
    count: count.exactOptional(),
    keyId: keyId.exactOptional(),
    drop: z.boolean().exactOptional(),
  }),
  count: z.strictObject({ count: count.exactOptional() }),
  bust: z.strictObject({ keepsId: z.boolean().exactOptional() }),
  correct: z.strictObject({
    price: amount.exactOptional(),
    qty: amount.exactOptional(),
    keepsId: z.boolean().exactOptional(),
  }),
  fill: z.strictObject({
    qty: amount.exactOptional(),
    price: amount.exactOptional(),
    overfill: z.boolean().exactOptional(),
  }),
  scope: z.strictObject({ keyId: keyId.exactOptional(), symbol: symbol.exactOptional() }),
  price: z.strictObject({
    symbol,
    bid: amount.exactOptional(),
    ask: amount.exactOptional(),
    last: amount.exactOptional(),
  }),
  symbol: z.strictObject({ symbol }),
  corporateAction: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('split'), symbol, ratio: amount }),
    z.strictObject({ type: z.literal('symbol_change'), symbol, to: symbol }),
  ]),
  partialFills: z.strictObject({
    enabled: z.boolean(),
    share: z.number().min(0).max(1).exactOptional(),
  }),
  advance: z.strictObject({ ms: z.int().min(0).max(ADVANCE_MS_MAX) }),
  faultShare: z.strictObject({ share: z.number().min(0).max(1) }),
  market: z.union([
    z.strictObject({ open: z.boolean() }),
    z.strictObject({ session: z.enum(['closed', 'pre', 'regular', 'post', 'calendar']) }),
  ]),
  streams: z.strictObject({
    keyId: keyId.exactOptional(),
    stream: z.enum(['trade', 'data']).exactOptional(),
  }),
  tradeEvent: z.strictObject({ orderId: z.string().min(1).max(64), event: z.enum(tradeEvents) }),
  dataError: z.strictObject({ code: z.literal(dataErrorCodes), keyId: keyId.exactOptional() }),
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body ?? {})
  if (!parsed.success) throw new Refusal(422, undefined, z.prettifyError(parsed.error))
  return parsed.data
}

const commands = (control: SandboxControl): Readonly<Record<string, Command>> => ({
  'POST /_sandbox/accounts': (body) => control.addAccount(read(accountShape, body)),
  'POST /_sandbox/accounts/flags': (body) => {
    const { keyId: key, ...flags } = read(shapes.flags, body)
    control.setFlags(key, flags)
  },
  'POST /_sandbox/accounts/activities': (body) => {
    const { keyId: key, ...move } = read(shapes.move, body)
    return control.moveMoney(key, move)
  },
  'POST /_sandbox/corporate-actions': (body) => ({
    accounts: control.actOnStock(read(shapes.corporateAction, body)),
  }),
  'POST /_sandbox/accounts/rate-limit': (body) => {
    const { keyId: key, limit } = read(shapes.rateLimit, body)
    control.setRateLimit(key, limit)
  },
  'POST /_sandbox/keys/revoke': (body) => control.revokeKey(read(shapes.key, body).keyId),
  'POST /_sandbox/keys/restore': (body) => control.restoreKey(read(shapes.key, body).keyId),
  'GET /_sandbox/answers': () => ({ waiting: control.heldAnswers() }),
  'POST /_sandbox/answers/hold': (body) => control.holdAnswers(read(shapes.hold, body)),
  'POST /_sandbox/answers/release': (body) => ({
    released: control.releaseAnswers(read(shapes.count, body).count),
  }),
  'POST /_sandbox/answers/drop': (body) => ({
    dropped: control.dropAnswers(read(shapes.count, body).count),
  }),
  'POST /_sandbox/orders/:id/fill': (body, _query, id) =>
    control.fillOrder(id, read(shapes.fill, body)),
  'POST /_sandbox/orders/:id/cancel': (_body, _query, id) => control.cancelOrder(id),
  'POST /_sandbox/executions/:id/bust': (body, _query, id) =>
    control.bustExecution(id, read(shapes.bust, body)),
  'POST /_sandbox/executions/:id/correct': (body, _query, id) => {
    const { price, qty, ...options } = read(shapes.correct, body)
    const to = { ...(price === undefined ? {} : { price }), ...(qty === undefined ? {} : { qty }) }
    return control.correctExecution(id, to, options)
  },
  'POST /_sandbox/matching/hold': (body) => control.holdMatching(read(shapes.scope, body)),
  'POST /_sandbox/matching/release': (body) => control.releaseMatching(read(shapes.scope, body)),
  'POST /_sandbox/partial-fills': (body) => {
    const { enabled, share } = read(shapes.partialFills, body)
    control.setPartialFills(enabled, share)
  },
  'POST /_sandbox/prices': (body) => {
    const { symbol: name, ...price } = read(shapes.price, body)
    control.setPrice(name, price)
  },
  'POST /_sandbox/prices/release': (body) => control.releasePrice(read(shapes.symbol, body).symbol),
  'POST /_sandbox/day/end': () => control.endDay(),
  'POST /_sandbox/market': (body) => {
    const market = read(shapes.market, body)
    if ('open' in market) control.setMarketOpen(market.open)
    else control.setMarketSession(market.session)
  },
  'GET /_sandbox/streams': () => control.streams(),
  'POST /_sandbox/streams/cut': (body) => ({ cut: control.cutStreams(read(shapes.streams, body)) }),
  'POST /_sandbox/streams/event': (body) => {
    const { orderId, event } = read(shapes.tradeEvent, body)
    control.sendTradeEvent(orderId, event)
  },
  'POST /_sandbox/streams/error': (body) => {
    const { code, keyId: key } = read(shapes.dataError, body)
    return { told: control.sendDataError(code, key) }
  },
  'POST /_sandbox/streams/market': (body) => ({
    told: control.sendMarketMessage(read(marketMessageShape, body)),
  }),
  'POST /_sandbox/clock/advance': async (body) => ({
    now: new Date(await control.advanceTime(read(shapes.advance, body).ms)).toISOString(),
  }),
  'GET /_sandbox/faults': () => ({ faults: control.faults() }),
  'POST /_sandbox/faults': (body) => control.armFault(read(faultShape, body)),
  'POST /_sandbox/faults/share': (body) =>
    control.setFaultShare(read(shapes.faultShare, body).share),
  'DELETE /_sandbox/faults': (_body, query) => ({
    disarmed: control.disarmFaults(query.get('id') ?? undefined),
  }),
  'GET /_sandbox/ledger': (_body, query) => control.ledger(query.get('keyId') ?? undefined),
})

/** Answers 200 with the result of a command, or with `{"ok":true}`. */
export function createControlHandler(control: SandboxControl): ControlHandler {
  const table = commands(control)
  return async (method, path, query, body) => {
    const [, head, id = '', verb] =
      /^(\/_sandbox\/(?:orders|executions))\/([^/]+)\/(\w+)\/*$/.exec(path) ?? []
    const route = `${method} ${head === undefined ? path.replace(/\/+$/, '') : `${head}/:id/${verb}`}`
    const command = table[route]
    if (command === undefined) {
      throw new Refusal(
        404,
        undefined,
        `no such control call; there are: ${Object.keys(table).join(', ')}`,
      )
    }
    return { status: 200, body: (await command(body, query, id)) ?? { ok: true } }
  }
}
