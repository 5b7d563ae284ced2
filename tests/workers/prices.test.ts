import { describe, expect, test } from 'vitest'
import { dec, type OrderIntent, type RiskLimits } from '#domain'
import { isoTime } from '#runtime'
import { HeldBackError } from '../../workers/broker/guard.ts'
import { orderHandler } from '../../workers/orders/dispatch.ts'
import { submitOrder } from '../../workers/orders/submit.ts'
import { intentOf } from '../domain/orders.ts'
import { makeWorker as makeBareWorker, ref } from './harness.ts'

const none = {
  schema: 1,
  orderNotionalMax: null,
  positionNotionalMax: null,
  openOrdersMax: null,
  dailyLossMax: null,
  symbolsAllowed: null,
  symbolsDenied: [],
  priceCollarPercent: null,
  sessions: 'any',
} as const

/** A worker under limits, whose account has been read and whose broker quotes 100 to 100.02. */
async function makeWorker(limits: Partial<RiskLimits>) {
  const worker = makeBareWorker()
  await worker.adopted()
  await worker.store.controls.setLimits(
    { scope: 'user', userId: ref.userId },
    { ...none, ...limits },
  )
  worker.broker.quotes.set('AAPL', { bid: dec('100'), ask: dec('100.02'), last: dec('100') })
  /** Submits an order; answers the code of its rejection, or `submitted`. */
  const submitted = async (intent: OrderIntent): Promise<unknown> => {
    await submitOrder(worker.submit, intent, worker.run)
    const told = worker.store
      .log(ref.userId)
      .map(({ payload }) => payload as Record<string, unknown>)
    return (
      told.find(({ tradeId, code }) => tradeId === intent.tradeId && code !== undefined)?.[
        'code'
      ] ?? 'submitted'
    )
  }
  const lookUps = () => worker.broker.calls.filter(({ on }) => on === 'readQuote').length
  return { ...worker, submitted, lookUps }
}

let trades = 0
const order = (over: Partial<OrderIntent> = {}): OrderIntent =>
  intentOf({ tradeId: `p${(trades += 1)}`, ...over })
const buy = (quantity: string, over: Partial<OrderIntent> = {}) =>
  order({ quantity: dec(quantity), ...over })
const limit = (price: string): Partial<OrderIntent> => ({
  orderType: 'limit',
  limitPrice: dec(price),
})
const kept = (ask: number, atMs: number) => ({
  symbol: 'AAPL',
  bid: ask - 0.01,
  ask,
  last: ask,
  volume: 0,
  change: null,
  changePercent: null,
  timestamp: isoTime(atMs),
})

describe('an order under a limit that needs a price', () => {
  test('is priced by the broker’s latest quote where no fresh one is kept', async () => {
    const { submitted, broker, lookUps } = await makeWorker({ orderNotionalMax: dec('600') })
    expect(await submitted(buy('6'))).toBe('ORDER_TOO_LARGE')
    expect(await submitted(buy('5'))).toBe('submitted')
    expect(broker.submissions).toHaveLength(1)
    expect(lookUps()).toBe(1)
  })

  test.each([
    ['is not answered', { kind: 'error_before' }],
    ['is refused as too much', { kind: 'rate_limit' }],
  ] as const)('is denied when the look-up %s, and nothing is sent', async (_what, fault) => {
    const { submitted, broker } = await makeWorker({ orderNotionalMax: dec('600') })
    broker.fail('readQuote', fault)
    expect(await submitted(buy('1'))).toBe('PRICE_UNKNOWN')
    expect(broker.submissions).toEqual([])
    expect(await submitted(buy('1'))).toBe('submitted')
  })

  test('is denied when the broker has no price of the side on which it would trade', async () => {
    const { submitted, broker } = await makeWorker({ orderNotionalMax: dec('600') })
    broker.quotes.clear()
    expect(await submitted(buy('1'))).toBe('PRICE_UNKNOWN')
  })

  test.each([
    ['that is too old', -15_001],
    ['of a time that is yet to come', 15_001],
  ])('is not priced by a kept quote %s', async (_what, byMs) => {
    const { submitted, quotes, clock, lookUps } = await makeWorker({ orderNotionalMax: dec('600') })
    quotes.set('AAPL', kept(11.5, clock.now() + byMs))
    expect(await submitted(buy('50'))).toBe('ORDER_TOO_LARGE')
    expect(lookUps()).toBe(1)
  })

  test('is priced by a fresh kept quote, without a look-up', async () => {
    const { submitted, quotes, clock, lookUps } = await makeWorker({ orderNotionalMax: dec('600') })
    quotes.set('AAPL', kept(11.5, clock.now() - 14_000))
    expect(await submitted(buy('50'))).toBe('submitted')
    expect(lookUps()).toBe(0)
  })

  test('shares its look-up with all orders of the symbol for two seconds', async () => {
    const { submitted, clock, lookUps } = await makeWorker({ orderNotionalMax: dec('600') })
    const all = await Promise.all(Array.from({ length: 20 }, () => submitted(buy('1'))))
    expect(new Set(all)).toEqual(new Set(['submitted']))
    expect(lookUps()).toBe(1)
    await clock.advance(1_999)
    await submitted(buy('1'))
    expect(lookUps()).toBe(1)
    await clock.advance(1)
    await submitted(buy('1'))
    expect(lookUps()).toBe(2)
  })

  test('waits while the request budget of its account is spent, and is not denied for it', async () => {
    const { submit, run, broker, events } = await makeWorker({ orderNotionalMax: dec('600') })
    broker.readQuote = () =>
      Promise.reject(new HeldBackError('RATE_LIMITED', 'the budget is spent', 3_000))
    const result = await orderHandler(submit)('submitOrder', buy('1'), run)
    expect(result).toMatchObject({ kind: 'again', delayMs: 3_000 })
    expect(events()).toEqual([])
  })

  test('costs no look-up where its own terms bound its value', async () => {
    const { submitted, lookUps } = await makeWorker({ orderNotionalMax: dec('600') })
    expect(await submitted(buy('6', limit('100')))).toBe('submitted')
    expect(await submitted(order({ quantity: null, notional: dec('600') }))).toBe('submitted')
    expect(lookUps()).toBe(0)
  })
})

test('a collar holds for every limit order, with watchers of its symbol or without', async () => {
  const { submitted, broker, clock } = await makeWorker({ priceCollarPercent: dec('5') })
  expect(await submitted(buy('1', limit('500')))).toBe('PRICE_OUTSIDE_COLLAR')
  broker.quotes.clear()
  await clock.advance(2_000)
  expect(await submitted(buy('1', limit('100')))).toBe('PRICE_UNKNOWN')
  expect(await submitted(buy('1'))).toBe('submitted')
})
