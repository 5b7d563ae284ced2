import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checkJobId,
  commandJobId,
  flattenTradeId,
  parametersHash,
  type SubmitOrder,
  submitJobId,
  submitOrderSchema,
  userIdSchema,
  tradeIdSchema,
} from '#contract'
import { bracket, limit, market, oco } from './payloads.ts'

describe('job ids', () => {
  const COMMANDS = ['cancelOrder', 'replaceOrder', 'closePosition'] as const
  const userId = fc
    .string({ unit: 'binary', maxLength: 128 })
    .filter((id) => userIdSchema.safeParse(id).success)
  const shortId = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)

  test('the same request is the same job', () => {
    expect(submitJobId('u1', 'trade_1')).toBe(submitJobId('u1', 'trade_1'))
    expect(commandJobId('cancelOrder', 'u1', 'trade_1', 'c1')).toBe(
      commandJobId('cancelOrder', 'u1', 'trade_1', 'c1'),
    )
  })

  test('another user, trade or command is another job, though all the rest is equal', () => {
    const ids = fc.tuple(userId, shortId, shortId)
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        for (const mask of [0, 1, 2, 3, 4, 5, 6, 7]) {
          const [user = '', trade = '', command = ''] = a.map((own, i) =>
            mask & (1 << i) ? b[i] : own,
          )
          const isSame = (...pairs: [string, string][]) => pairs.every(([x, y]) => x === y)
          expect(submitJobId(user, trade) === submitJobId(a[0], a[1])).toBe(
            isSame([user, a[0]], [trade, a[1]]),
          )
          expect(checkJobId(user, trade) === checkJobId(a[0], a[1])).toBe(
            isSame([user, a[0]], [trade, a[1]]),
          )
          expect(
            commandJobId('cancelOrder', user, trade, command) === commandJobId('cancelOrder', ...a),
          ).toBe(isSame([user, a[0]], [trade, a[1]], [command, a[2]]))
        }
      }),
    )
  })

  test('the trade that flattens another trade has an id of its own, made from it', () => {
    expect(flattenTradeId('trade_1')).toBe('flatten-trade_1')
    expect(flattenTradeId('a'.repeat(56))).toBe(`flatten-${'a'.repeat(56)}`)
    expect(flattenTradeId('a'.repeat(57))).toMatch(/^flatten-[0-9a-f]{24}$/)
    fc.assert(
      fc.property(shortId, shortId, (a, b) => {
        expect(tradeIdSchema.safeParse(flattenTradeId(a)).success).toBe(true)
        expect(flattenTradeId(a) === flattenTradeId(b)).toBe(a === b)
      }),
    )
  })

  test('a submit, a check and each kind of command are separate jobs', () => {
    const commands = COMMANDS.map((name) => commandJobId(name, 'u1', 'x', 'x'))
    expect(new Set([submitJobId('u1', 'x'), checkJobId('u1', 'x'), ...commands]).size).toBe(5)
  })

  test('the queue accepts the ids: no colon, never a number', () => {
    fc.assert(
      fc.property(userId, shortId, shortId, (user, trade, command) => {
        const commands = COMMANDS.map((name) => commandJobId(name, user, trade, command))
        for (const id of [submitJobId(user, trade), ...commands, checkJobId(user, trade)]) {
          expect(id).toMatch(/^[a-z]+-[0-9a-f]{24}-[A-Za-z0-9_-]{1,64}$/)
        }
      }),
    )
  })
})

describe('parametersHash', () => {
  const hash = (order: SubmitOrder) => parametersHash(submitOrderSchema.parse(order))
  const reversed = (value: unknown): unknown =>
    typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([key, inner]) => [key, reversed(inner)]),
        )
      : value

  test('does not depend on how the same order is written', () => {
    expect(hash({ ...market, quantity: '10.00', timeInForce: 'day', notional: null })).toBe(
      hash(market),
    )
    for (const order of [market, bracket, oco])
      expect(hash(reversed(order) as SubmitOrder)).toBe(hash(order))
  })

  test('ignores the order of keys and the spelling of an instant', () => {
    const intent = submitOrderSchema.parse(bracket)
    expect(parametersHash(reversed(intent) as typeof intent)).toBe(parametersHash(intent))
    const until = (notAfter: string) => hash({ ...market, notAfter })
    expect(until('2026-01-02T10:04:05-05:00')).toBe(until('2026-01-02T15:04:05Z'))
  })

  test.each<[string, SubmitOrder]>([
    ['quantity', { ...bracket, quantity: '11' }],
    ['side', { ...limit, side: 'sell' }],
    ['limitPrice', { ...bracket, limitPrice: '150.01' }],
    ['timeInForce', { ...bracket, timeInForce: 'gtc' }],
    ['stopLoss.limitPrice', { ...bracket, stopLoss: { stopPrice: '145' } }],
    ['takeProfit', { ...bracket, takeProfit: { limitPrice: '156' } }],
    ['connectionId', { ...bracket, connectionId: 'broker_2' }],
    ['notAfter', { ...bracket, notAfter: '2026-01-02T15:04:05Z' }],
  ])('another %s is another hash', (_field, order) => expect(hash(order)).not.toBe(hash(bracket)))

  test('is short, plain text', () => expect(hash(market)).toMatch(/^[0-9a-f]{32}$/))
})
