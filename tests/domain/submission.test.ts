import { describe, expect, test } from 'vitest'
import {
  isNotReceived,
  nextStep,
  NOT_RECEIVED_MS,
  type Order,
  reduce,
  REQUEST_MS_MAX,
  RESEND_MS_MAX,
  stepIfAbsent,
  submissionOf,
} from '#domain'
import { claimed, emptySlice, orderKey } from './orders.ts'

const CLAIMED_MS = Date.parse('2026-03-02T15:00:00.000Z')
const at = (ms: number): string => new Date(CLAIMED_MS + ms).toISOString()
const blank = reduce(emptySlice, claimed(), orderKey).slice.order!
const order = (over: Partial<Order>): Order => ({
  ...blank,
  status: 'submitting',
  claimedAt: at(0),
  attemptedAt: at(0),
  ...over,
})
const refusal = { type: 'denied', code: 'HALTED', message: 'halted', at: at(0) } as const

/** Times in ms after the claim. `-`: the record has none. */
const machine = `
  attempted | ended | unknown | looked at | state
  -         | -     | -       | 0         | parked
  -         | 500   | -       | 600       | parked
  -         | 500   | 500     | 600       | parked
  0         | -     | -       | 9999      | sending
  0         | -     | -       | 10000     | unknown
  0         | 500   | 500     | 600       | unknown
  900       | 500   | 500     | 1000      | sending
  900       | 500   | 500     | 10900     | unknown
  0         | -     | -       | -9999     | sending
  0         | -     | -       | -10000    | unknown
`
const rows = machine
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split('|').map((cell) => cell.trim()))
const timeOf = (cell = ''): string | null => (cell === '-' ? null : at(Number(cell)))

describe('the submission of an order', () => {
  test.each(rows)(
    'attempted %s, ended %s, unknown %s - looked at %s - is %s',
    (attempted, ended, unknown, lookedAt, state) => {
      const record = order({
        attemptedAt: timeOf(attempted),
        attemptEndedAt: timeOf(ended),
        unknownSince: timeOf(unknown),
      })
      expect(submissionOf(record, CLAIMED_MS + Number(lookedAt)).kind).toBe(state)
    },
  )

  test('an order that the broker has - is settled, and needs no step', () => {
    const state = submissionOf(order({ status: 'submitted' }), CLAIMED_MS)
    expect(state.kind).toBe('settled')
    expect(nextStep(state, true)).toBe('none')
  })

  test('a request that may be under way - waits', () => {
    expect(nextStep(submissionOf(order({}), CLAIMED_MS), true)).toBe('wait')
  })

  test('parked - is sent only if it may be sent and was not refused', () => {
    const parked = submissionOf(order({ attemptedAt: null }), CLAIMED_MS)
    expect(nextStep(parked, true)).toBe('send')
    expect(nextStep(parked, false)).toBe('lookUp')
    const refused = order({ attemptedAt: null, doubtedRefusal: refusal })
    expect(nextStep(submissionOf(refused, CLAIMED_MS), true)).toBe('lookUp')
  })
})

const absent = (record: Order, afterMs: number, mayHaveLostWrites = false) => {
  const nowMs = CLAIMED_MS + afterMs
  const state = submissionOf(record, nowMs)
  if (state.kind !== 'parked' && state.kind !== 'unknown') throw new Error(state.kind)
  return stepIfAbsent(record, state, { nowMs, mayHaveLostWrites })
}

describe('an order that the broker does not have', () => {
  const parked = order({ attemptedAt: null })
  const sent = order({ attemptEndedAt: at(0), unknownSince: at(0) })

  test('parked, nothing lost - is closed', () => expect(absent(parked, 0)).toBe('close'))

  test('parked, writes may be lost - is confirmed first', () =>
    expect(absent(parked, 0, true)).toBe('confirm'))

  test('parked in doubt - is confirmed until a lost request must be over, then closed', () => {
    const doubted = order({ attemptedAt: null, unknownSince: at(0) })
    expect(absent(doubted, REQUEST_MS_MAX - 1)).toBe('confirm')
    expect(absent(doubted, REQUEST_MS_MAX)).toBe('close')
  })

  test('sent and fresh - is sent again, at the latest a minute after its claim', () => {
    expect(absent(sent, RESEND_MS_MAX)).toBe('resend')
    expect(absent(sent, RESEND_MS_MAX + 1)).toBe('watch')
  })

  test('sent, and its claim lies in the future - is not sent again', () =>
    expect(absent(sent, -1_001)).toBe('watch'))

  test('sent and canceled, or past its deadline - is not sent again', () => {
    const cancel = { commandId: 'c1', by: 'user', reason: '', requestedAt: at(0) } as const
    expect(absent({ ...sent, cancel }, 0)).toBe('watch')
    expect(absent({ ...sent, notAfter: at(10) }, 11)).toBe('watch')
  })

  test('watched - counts as never received a quarter of an hour after its last request', () => {
    const state = (afterMs: number) => {
      const found = submissionOf(sent, CLAIMED_MS + afterMs)
      if (found.kind !== 'unknown') throw new Error(found.kind)
      return isNotReceived(found, CLAIMED_MS + afterMs)
    }
    expect(state(NOT_RECEIVED_MS - 1)).toBe(false)
    expect(state(NOT_RECEIVED_MS)).toBe(true)
  })
})
