import { expect, test } from 'vitest'
import { dec, type Order, type OrderUpdate, reduce, type Slice } from '#domain'
import { at, brokerOrder, claimed, emptySlice, orderKey, seen } from './orders.ts'

const play = (...updates: OrderUpdate[]): Order | null =>
  updates.reduce<Slice>((slice, update) => reduce(slice, update, orderKey).slice, emptySlice).order

const notSent = (second: number): OrderUpdate => ({ type: 'not_sent', at: at(second) })
const unknown = (second: number): OrderUpdate => ({ type: 'outcome_unknown', at: at(second) })
const attempted = (second: number, quantity: string | null = null): OrderUpdate => ({
  type: 'attempted',
  quantity: quantity === null ? null : dec(quantity),
  at: at(second),
})

test('a claim is an attempt that may be under way', () => {
  expect(play(claimed())).toMatchObject({
    claimedAt: at(0),
    attemptedAt: at(0),
    attemptEndedAt: null,
  })
})

test('a request that certainly was not sent leaves nothing; the next attempt is new', () => {
  const parked = play(claimed(), notSent(3))
  expect(parked).toMatchObject({
    attemptedAt: null,
    attemptEndedAt: at(3),
    unknownSince: null,
    status: 'submitting',
  })
  expect(play(claimed(), notSent(3), attempted(40))).toMatchObject({
    claimedAt: at(40),
    attemptedAt: at(40),
  })
})

test('after an unknown outcome a refused attempt proves nothing about the first', () => {
  const order = play(claimed(), unknown(2), attempted(5), notSent(6))
  expect(order).toMatchObject({
    claimedAt: at(0),
    attemptedAt: at(5),
    attemptEndedAt: at(6),
    unknownSince: at(2),
  })
})

test('an attempt may be resized until the broker has shown the order', () => {
  expect(play(claimed(), attempted(5, '60'))).toMatchObject({
    quantity: '60',
    placements: [{ quantity: '60' }],
  })
  const shown = play(claimed(), seen(brokerOrder('new', '0', 1)), attempted(5, '60'), notSent(6))
  expect(shown).toMatchObject({
    quantity: '100',
    placements: [{ quantity: '100' }],
    attemptedAt: at(0),
  })
})

test('a doubted refusal clears its request; after an unknown outcome it proves nothing', () => {
  const refusal = { type: 'denied', code: 'HALTED', message: 'why', at: at(3) } as const
  const doubted = { type: 'refusal_doubted', refusal, at: at(3) } as const
  expect(play(claimed(), doubted)).toMatchObject({
    status: 'submitting',
    attemptedAt: null,
    attemptEndedAt: at(3),
    unknownSince: at(3),
    doubtedRefusal: refusal,
  })
  expect(play(claimed(), unknown(2), doubted)).toMatchObject({
    attemptedAt: at(0),
    unknownSince: at(2),
  })
  expect(play(claimed(), unknown(2), doubted)).not.toHaveProperty('doubtedRefusal')
})
