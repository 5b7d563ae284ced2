import { describe, expect, test } from 'vitest'
import { adopt, type BrokerSnapshot, dec, type Portfolio, reconcile, SETTLE_MS } from '#domain'
import { at } from './orders.ts'

const snapshot = (cash: string, ...positions: (readonly [string, string, string])[]): BrokerSnapshot => ({
  brokerAccountId: 'a1',
  currency: 'USD',
  cash: dec(cash),
  positions: positions.map(([symbol, quantity, entry]) => ({
    symbol,
    quantity: dec(quantity),
    averageEntryPrice: dec(entry),
    currentPrice: null,
  })),
})

const adopted = (seen: BrokerSnapshot): Portfolio => adopt('c', seen, at(0)).portfolio
const types = (changes: readonly { type: string }[]) => changes.map((change) => change.type)

/** Two readings of the same figures, `apartMs` apart. */
function readTwice(ours: Portfolio, seen: BrokerSnapshot, apartMs: number) {
  const first = reconcile(ours, seen, 1_000, at(1))
  return { first, second: reconcile(first.portfolio, seen, 1_000 + apartMs, at(2)) }
}

describe('adopt - the first reading of a connection', () => {
  test('takes over cash and positions, openly', () => {
    const { portfolio, changes } = adopt('c', snapshot('1000', ['AAPL', '10', '180'], ['TSLA', '-5', '250']), at(0))
    expect(types(changes)).toEqual(['position.opened', 'position.opened', 'cash.changed'])
    expect(portfolio.account.cash).toBe('1000')
    expect(portfolio.positions.get('TSLA')).toMatchObject({ quantity: '-5', cost: '1250' })
  })
})

describe('reconcile - a difference is believed only when it stands', () => {
  const ours = adopted(snapshot('1000', ['AAPL', '10', '180']))

  test('equal figures change nothing', () => {
    const { changes, portfolio } = reconcile(ours, snapshot('1000', ['AAPL', '10', '180']), 1, at(1))
    expect(changes).toEqual([])
    expect(portfolio).toEqual(ours)
  })

  test('one reading is a doubt, never a change', () => {
    const { first } = readTwice(ours, snapshot('900'), SETTLE_MS)
    expect(first.changes).toEqual([])
    expect(Object.keys(first.portfolio.account.doubts)).toEqual(['position AAPL', 'cash'])
  })

  test('two equal readings one settle window apart are believed', () => {
    const { second } = readTwice(ours, snapshot('900', ['AAPL', '4', '180'], ['MSFT', '1', '400']), SETTLE_MS)
    expect(types(second.changes)).toEqual(['position.changed', 'position.opened', 'cash.changed'])
    expect(second.portfolio.account).toMatchObject({ cash: '900', doubts: {} })
  })

  test('two readings too close together are not', () => {
    expect(readTwice(ours, snapshot('900'), SETTLE_MS - 1).second.changes).toEqual([])
  })

  test('a figure that still moves starts the window again', () => {
    const first = reconcile(ours, snapshot('900', ['AAPL', '10', '180']), 1_000, at(1))
    const second = reconcile(first.portfolio, snapshot('800', ['AAPL', '10', '180']), 1_000 + SETTLE_MS, at(2))
    expect(second.changes).toEqual([])
  })

  test('something booked in between starts the window again', () => {
    const first = reconcile(ours, snapshot('900', ['AAPL', '10', '180']), 1_000, at(1))
    const booked = { ...first.portfolio, account: { ...first.portfolio.account, lastBookedAtMs: 1_500 } }
    expect(reconcile(booked, snapshot('900', ['AAPL', '10', '180']), 1_000 + SETTLE_MS, at(2)).changes).toEqual([])
  })

  test('a side that turned is a close and an opening', () => {
    const { second } = readTwice(ours, snapshot('1000', ['AAPL', '-3', '190']), SETTLE_MS)
    expect(types(second.changes)).toEqual(['position.closed', 'position.opened'])
  })

  test('once believed, the same reading again changes nothing', () => {
    const { second } = readTwice(ours, snapshot('900'), SETTLE_MS)
    expect(reconcile(second.portfolio, snapshot('900'), 99_000, at(3)).changes).toEqual([])
  })
})
