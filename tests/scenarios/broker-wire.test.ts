import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { submitOrderSchema } from '#contract'
import { dec, type Decimal, sub, sum, tryDec, ZERO } from '#domain'
import { CALL_TIMEOUT_MS } from '../../workers/broker/alpaca/endpoint.ts'
import { orderRequestOf } from '../../workers/broker/alpaca/request.ts'
import type { SubmitOutcome } from '../../workers/broker/port.ts'
import { LOCK_MS } from '../../workers/queue/runner.ts'
import { onSandbox, openSandbox, ticketOf } from '../conformance/broker-harness.ts'
import { intentOf } from '../domain/orders.ts'
import { answering } from './answering.ts'
import { decimal } from './decimals.ts'
import { openWorld } from './world.ts'

// How the real adapter reads and writes messages of the broker.

let real: Awaited<ReturnType<typeof openSandbox>>
beforeAll(async () => void (real = await openSandbox()))
afterAll(() => real.close())

describe('SUB-03 server error after acceptance', () => {
  test.each(
    [500, 502, 503, 504, 408, 409, 425].flatMap(
      (status) =>
        [
          [status, true],
          [status, false],
        ] as const,
    ),
  )(
    'SUB-03 status %i, order booked: %s - unknown, and the look-up decides',
    async (status, isBooked) => {
      const { broker } = onSandbox(real)
      const ticket = ticketOf()
      const kind = isBooked ? 'error_after' : 'error_before'
      real.sandbox.control.armFault({ kind, status, method: 'POST', path: '/v2/orders' })
      expect(await broker.submit(ticket)).toEqual({ kind: 'unknown', cause: `status ${status}` })
      expect((await broker.findByClientOrderId(ticket.clientOrderId)) !== null).toBe(isBooked)
    },
  )

  test.each<
    [
      string,
      'html_error' | 'truncated_answer' | 'empty_answer' | 'drop_answer' | 'lose_request',
      boolean,
    ]
  >([
    ['a proxy’s page', 'html_error', false],
    ['half an answer', 'truncated_answer', true],
    ['an empty answer', 'empty_answer', true],
    ['no answer', 'drop_answer', true],
    ['a connection cut before the request arrives', 'lose_request', false],
  ])('SUB-03 %s - the outcome is unknown', async (_what, kind, isBooked) => {
    const { broker } = onSandbox(real)
    const ticket = ticketOf()
    real.sandbox.control.armFault({ kind, method: 'POST', path: '/v2/orders' })
    expect(await broker.submit(ticket)).toMatchObject({ kind: 'unknown' })
    expect((await broker.findByClientOrderId(ticket.clientOrderId)) !== null).toBe(isBooked)
  })

  /** The documented and reported answers of Alpaca, with the outcome that each of them proves. */
  const ANSWERS: readonly (readonly [
    status: number,
    code: number | null,
    message: string,
    proves: string,
  ])[] = [
    [400, 40010000, 'failed to decode request body', 'BROKER_REJECTED'],
    [401, null, 'unauthorized.', 'BROKER_DISCONNECTED'],
    [401, 40110000, 'request is not authorized', 'BROKER_DISCONNECTED'],
    [403, null, 'forbidden.', 'BROKER_DISCONNECTED'],
    [422, 40010001, 'qty or notional is required', 'BROKER_REJECTED'],
    [422, 40010001, 'market orders require no stop or limit price', 'BROKER_REJECTED'],
    [422, 40010001, 'client_order_id must be unique', 'duplicate'],
    [422, 42210000, 'client_order_id must be unique', 'duplicate'],
    [422, 40010001, 'client_order_id must be no more than 128 characters', 'BROKER_REJECTED'],
    [422, 40010001, 'us_equity orders not allowed for account', 'ACCOUNT_RESTRICTED'],
    [422, 40010001, 'asset MKR/USD is not active', 'SYMBOL_NOT_TRADABLE'],
    [422, 42210000, 'asset "ZZZZ" not found', 'SYMBOL_NOT_TRADABLE'],
    [422, 42210000, 'symbol not found or not tradable', 'SYMBOL_NOT_TRADABLE'],
    [422, 42210000, 'asset "RGC" is not tradable', 'SYMBOL_NOT_TRADABLE'],
    [422, 42210000, 'asset "TXN" cannot be sold short', 'SHORT_NOT_ALLOWED'],
    [
      422,
      42210000,
      'invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria',
      'INVALID_PRICE',
    ],
    [422, 42210000, 'extended hours order must be DAY or GTC limit orders', 'BROKER_REJECTED'],
    [422, 42210000, 'opg orders must be submitted after 7:00pm and before 9:28am', 'MARKET_CLOSED'],
    [403, 40310000, 'cls orders are accepted before 3:50pm', 'MARKET_CLOSED'],
    [422, 42210000, 'fractional orders must be DAY orders', 'FRACTIONAL_NOT_ALLOWED'],
    [422, 42210000, 'notional must be >= 1.00', 'BROKER_REJECTED'],
    [422, 42210000, 'qty must be integer', 'FRACTIONAL_NOT_ALLOWED'],
    [422, 42210000, 'stop price must be less than current price', 'INVALID_PRICE'],
    [422, 42210000, 'bracket orders must be entry orders', 'BROKER_REJECTED'],
    [422, 42210000, 'potential wash trade detected. use complex orders', 'WASH_TRADE'],
    [403, 40310000, 'potential wash trade detected. use complex orders', 'WASH_TRADE'],
    [403, 40310000, 'insufficient buying power', 'INSUFFICIENT_BUYING_POWER'],
    [
      403,
      40310000,
      'insufficient qty available for order (requested: 35, available: 0)',
      'INSUFFICIENT_QUANTITY',
    ],
    [
      403,
      40310000,
      'insufficient balance for ETH (requested: 1, available: 0)',
      'INSUFFICIENT_BUYING_POWER',
    ],
    [403, 40310000, 'cost basis must be >= minimal amount of order 10', 'BROKER_REJECTED'],
    [403, 40310000, 'account is not allowed to short', 'SHORT_NOT_ALLOWED'],
    [403, 40310000, 'asset "BRK.A" is not fractionable', 'FRACTIONAL_NOT_ALLOWED'],
    [403, 40310000, 'account is not authorized to trade', 'ACCOUNT_RESTRICTED'],
    [403, 40310000, 'account is restricted to liquidation only', 'ACCOUNT_RESTRICTED'],
    [403, 40310000, 'new orders are rejected by user request', 'ACCOUNT_RESTRICTED'],
    [403, 40310100, 'trade denied due to pattern day trading protection', 'ACCOUNT_RESTRICTED'],
    [
      403,
      40310000,
      'extended hours orders between 6:00pm and 8:00pm is not supported',
      'BROKER_REJECTED',
    ],
    [403, 40310100, 'a rule that has another name now', 'ACCOUNT_RESTRICTED'],
    [
      403,
      40310000,
      'unable to open new notional orders while having open closing position orders',
      'BROKER_REJECTED',
    ],
    [404, 40410000, 'asset not found for ZZZZQX', 'SYMBOL_NOT_TRADABLE'],
    [429, 42910000, 'rate limit exceeded', 'rate_limited'],
    [500, 50010000, 'internal server error occurred', 'unknown'],
    [503, null, '<html><body>maintenance</body></html>', 'unknown'],
    [504, null, 'gateway timeout', 'unknown'],
    [403, null, '<html><body>blocked</body></html>', 'unknown'],
    [404, null, '<html><body>nothing here</body></html>', 'unknown'],
    [418, 41810000, 'a status from the future', 'unknown'],
    [200, null, '{"id": "but no order"}', 'unknown'],
    [302, null, 'moved', 'unknown'],
  ]

  test.each(ANSWERS)('SUB-03 %i %s %j - proves %s', async (status, code, message, proves) => {
    const isPage = message.startsWith('<') || message.startsWith('{')
    const body = isPage ? message : JSON.stringify({ ...(code === null ? {} : { code }), message })
    await using server = await answering(status, body)
    const outcome = await server.broker.submit(ticketOf())
    expect(provenBy(outcome)).toBe(proves)
    if (provenBy(outcome) === 'BROKER_DISCONNECTED')
      expect(outcome).toMatchObject({
        message: expect.stringContaining('Connect the broker account again') as string,
      })
    if (outcome.kind === 'refused')
      expect(outcome.brokerCode).toBe(code === null ? null : String(code))
    expect(server.requests()).toBe(1)
  })
})

const provenBy = (outcome: SubmitOutcome): string =>
  outcome.kind === 'refused' ? outcome.code : outcome.kind

const terms = {
  quantity: null,
  limitPrice: dec('1'),
  stopPrice: null,
  trail: null,
  timeInForce: null,
}

test.each([429, 500, 503, 504, 408])(
  'SUB-07 hidden retries, status %i - every call makes exactly one request',
  async (status) => {
    await using server = await answering(status, JSON.stringify({ message: 'not now' }))
    const { broker } = server
    const calls = [
      () => broker.submit(ticketOf()),
      () => broker.replace({ brokerOrderId: 'b', clientOrderId: 'c', terms }),
      () => broker.cancel('b'),
      () => broker.listOrders({ status: 'open' }).catch(() => null),
      () => broker.readAccount().catch(() => null),
    ]
    for (const [index, call] of calls.entries()) {
      await call()
      expect(server.requests()).toBe(index + 1)
    }
  },
)

test('SUB-08 no answer - unknown at the deadline, well before the job lock ends', async () => {
  expect(CALL_TIMEOUT_MS).toBeLessThan(LOCK_MS / 1.5)
  await using server = await answering(200, null)
  const startMs = performance.now()
  const [submitted, replaced, canceled, read] = await Promise.all([
    server.broker.submit(ticketOf()),
    server.broker.replace({ brokerOrderId: 'b', clientOrderId: 'c', terms }),
    server.broker.cancel('b'),
    server.broker.readAccount().catch((error: unknown) => error),
  ])
  expect(performance.now() - startMs).toBeGreaterThan(CALL_TIMEOUT_MS - 100)
  expect([submitted.kind, replaced.kind, canceled.kind]).toEqual(['unknown', 'unknown', 'unknown'])
  expect(read).toMatchObject({ code: 'UNAVAILABLE' })
  expect(server.requests()).toBe(4)
})

test('SUB-08 no answer - the resolver starts at the deadline and finds the order', async () => {
  const world = await openWorld({ seed: 8 })
  world.broker.fail('submit', { kind: 'lose_reply' })
  world.submit()
  await world.advance(60_000)
  expect(world.told('t1')).toEqual(['trade.submitted'])
  expect(world.broker.orders.size).toBe(1)
  world.fill('t1', '180')
  await world.quiesce()
})

describe('SUB-14 number formats', () => {
  test('SUB-14 amounts up to nine decimals - parsed and written without change', () => {
    fc.assert(
      fc.property(decimal, (text) => {
        const read = dec(text)
        const plain = text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text
        expect(read).toBe(plain)
        expect(tryDec(read)).toBe(read)
        const request = orderRequestOf(
          intentOf({ quantity: read, limitPrice: read, orderType: 'limit' }),
          'c1',
        )
        expect([request.qty, request.limitPrice]).toEqual([plain, plain])
      }),
    )
  })

  test('SUB-14 fills of any sizes - add up to exactly the filled quantity', () => {
    fc.assert(
      fc.property(fc.array(decimal, { minLength: 1, maxLength: 20 }), (texts) => {
        const parts = texts.map((text) => dec(text))
        const total = sum(parts)
        expect(parts.reduce((left, part) => sub(left, part), total)).toBe(ZERO)
        const digits = parts.reduce((all, part) => all + nanosOf(part), 0n)
        expect(nanosOf(total)).toBe(digits)
      }),
    )
  })

  test('SUB-14 a price between two ticks - refused by our check and by the broker', async () => {
    const { broker } = onSandbox(real)
    for (const [price, isTick] of [
      ['10.005', false],
      ['10.01', true],
      ['0.00011', false],
      ['0.0001', true],
    ] as const) {
      const order = { ...ticketOf().intent, orderType: 'limit', limitPrice: price, quantity: '1' }
      const asked = Object.fromEntries(Object.entries(order).filter(([, value]) => value !== null))
      expect(submitOrderSchema.safeParse(asked).success).toBe(isTick)
      const outcome = await broker.submit(
        ticketOf({ orderType: 'limit', limitPrice: dec(price), quantity: dec('1') }),
      )
      expect(provenBy(outcome)).toBe(isTick ? 'accepted' : 'INVALID_PRICE')
    }
  })
})

/** Independent of the code under test: whole billionths. */
function nanosOf(amount: Decimal): bigint {
  const [whole = '0', fraction = ''] = amount.split('.')
  return BigInt(whole) * 10n ** 9n + BigInt(fraction.padEnd(9, '0'))
}
