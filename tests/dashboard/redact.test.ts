import { describe, expect, test } from 'vitest'
import { redactAnswer, redactData, scrubText } from '../../src/apps/dashboard/redact.ts'

const KEY_LIKE = 'h7Kq2mZ9xW4vB1nC6pL8sD3fG5jT0rYa'

describe('redactData', () => {
  test('our own fields are shown, at every depth of our jobs', () => {
    const job = {
      userId: 'u1',
      tradeId: 't1',
      symbol: 'AAPL',
      quantity: '10',
      stopLoss: { stopPrice: '9.5' },
      limitPrice: null,
    }
    expect(redactData(job)).toEqual(job)
  })

  test.each([
    ['an unknown field', { userId: 'u1', apiSecret: KEY_LIKE }],
    ['an unknown field inside a known one', { takeProfit: { limitPrice: '1', note: KEY_LIKE } }],
    ['a key in a known field', { symbol: KEY_LIKE }],
    ['free text that a caller wrote', { reason: KEY_LIKE }],
    ['a list', { symbol: [KEY_LIKE] }],
    [
      'something deeper than our jobs are',
      { takeProfit: { stopLoss: { takeProfit: { symbol: KEY_LIKE } } } },
    ],
    ['bare text', KEY_LIKE],
    ['a list of jobs', [{ symbol: KEY_LIKE }]],
    ['a text too long to be ours', { symbol: `${KEY_LIKE} `.repeat(10) }],
  ])('%s is not shown', (_what, data) => {
    expect(JSON.stringify(redactData(data))).not.toContain(KEY_LIKE)
  })
})

describe('scrubText', () => {
  test.each([
    ['Bearer eyJhbGciOi.eyJzdWIi.c2ln', 'eyJ'],
    ['secretKey: short-one', 'short-one'],
    ['{"token":"abc.def"}', 'abc.def'],
    ['redis://user:hunter2@host:6379', 'hunter2'],
    [`401 for ${KEY_LIKE}`, KEY_LIKE],
    ['?api_key=abc&x=1', 'abc'],
  ])('%j loses its secret', (text, secret) => {
    expect(scrubText(text)).not.toContain(secret)
  })

  test.each([
    'quantity: must be greater than 0',
    'order fc1-0a1b2c3d4e-0.0-trade_1 is unknown',
    'trade 550e8400-e29b-41d4-a716-446655440000: no answer within 5000 ms',
    'at submit (workers/orders/submit.ts:12:34)',
  ])('%j stays unchanged', (text) => {
    expect(scrubText(text)).toBe(text)
  })

  test('the length of a text is bounded', () => {
    expect(scrubText('word '.repeat(10_000)).length).toBeLessThan(5_000)
  })
})

describe('redactAnswer', () => {
  test('reasons, stack traces, deferred failures and log lines are scrubbed', () => {
    const text = `it was ${KEY_LIKE}`
    const answer = { job: { failedReason: text, stacktrace: [text], deferredFailure: text } }
    expect(JSON.stringify([redactAnswer(answer), redactAnswer([text])])).not.toContain(KEY_LIKE)
  })

  test("a scheduler's template is redacted like a job", () => {
    const answer = {
      jobSchedulers: [{ id: 's', template: { data: { userId: 'u1', extra: KEY_LIKE } } }],
    }
    expect(redactAnswer(answer)).toEqual({
      jobSchedulers: [{ id: 's', template: { data: { userId: 'u1', extra: '[redacted]' } } }],
    })
  })

  test('ids stay whole, so that a job can be opened', () => {
    const id = 'submit-0a1b2c3d4e5f60718293a4b5-trade_1'
    expect(redactAnswer({ job: { id } })).toEqual({ job: { id } })
  })
})
