import { describe, expect, test } from 'vitest'
import {
  adopt,
  type BrokerActivity,
  type BrokerSnapshot,
  type Change,
  dec,
  type Portfolio,
  reconcile,
  type Reading,
  reduce,
  SETTLE_MS,
  type Slice,
} from '#domain'
import {
  at,
  brokerOrder,
  claimed,
  executionOf,
  intentOf,
  orderKey,
  readingOf,
  seen,
} from './orders.ts'

type Row = readonly [symbol: string, quantity: string, averageEntryPrice: string]

const snapshot = (cash: string, ...positions: readonly Row[]): Partial<BrokerSnapshot> => ({
  cash: dec(cash),
  positions: positions.map(([symbol, quantity, entry]) => ({
    symbol,
    quantity: dec(quantity),
    averageEntryPrice: dec(entry),
    currentPrice: null,
  })),
})

let activities = 0
const activity = (over: Partial<BrokerActivity>): BrokerActivity => ({
  id: `activity-${(activities += 1)}`,
  kind: 'cash',
  type: 'FEE',
  amount: null,
  symbol: null,
  newSymbol: null,
  quantity: null,
  at: at(0),
  ...over,
})
const fee = (amount: string) => activity({ amount: dec(amount) })
const deposit = (amount: string) => activity({ kind: 'deposit', type: 'CSD', amount: dec(amount) })

const adopted = (seen: Partial<BrokerSnapshot>): Portfolio => adopt('c', readingOf(seen))
const types = (changes: readonly Change[]) => changes.map((change) => change.type)
const causes = (changes: readonly Change[]) =>
  changes.flatMap((change) =>
    change.type === 'cash.changed' ? [`${change.cause} ${change.account.cash}`] : [],
  )
/** A reading, `afterMs` after the first. */
const later = (
  seen: Partial<BrokerSnapshot>,
  afterMs: number,
  listed: readonly BrokerActivity[] = [],
): Reading => ({
  ...readingOf(seen, 2, listed),
  atMs: Date.parse(at(1)) + afterMs,
})

/** Two readings of the same figures, `apartMs` apart. */
function readTwice(
  ours: Portfolio,
  seen: Partial<BrokerSnapshot>,
  apartMs = SETTLE_MS,
  listed: readonly BrokerActivity[] = [],
) {
  const first = reconcile(ours, readingOf(seen, 1, listed))
  return { first, second: reconcile(first.portfolio, later(seen, apartMs, listed)) }
}

const ours = adopted(snapshot('1000', ['AAPL', '10', '180']))

test('adopt - the first reading sets cash, positions and the listed activities', () => {
  const known = deposit('1000')
  const portfolio = adopt(
    'c',
    readingOf(snapshot('1000', ['AAPL', '10', '180'], ['TSLA', '-5', '250']), 0, [known]),
  )
  expect(portfolio.account.cash).toBe('1000')
  expect(portfolio.positions.get('TSLA')).toMatchObject({ quantity: '-5', cost: '1250' })
  expect(
    reconcile(
      portfolio,
      readingOf(snapshot('1000', ['AAPL', '10', '180'], ['TSLA', '-5', '250']), 1, [known]),
    ).changes,
  ).toEqual([])
})

describe('reconcile - a difference is believed only when it persists', () => {
  test('equal figures change nothing', () => {
    const { changes, portfolio } = reconcile(
      ours,
      readingOf(snapshot('1000', ['AAPL', '10', '180'])),
    )
    expect(changes).toEqual([])
    expect(portfolio).toEqual(ours)
  })

  test('one reading is a doubt, never a change', () => {
    const { first } = readTwice(ours, snapshot('900'))
    expect(first.changes).toEqual([])
    expect(Object.keys(first.portfolio.account.doubts)).toEqual(['position AAPL', 'cash'])
  })

  test('equal readings a settle window apart are believed; without a cause, an anomaly', () => {
    const { second } = readTwice(ours, snapshot('900', ['AAPL', '4', '180'], ['MSFT', '1', '400']))
    expect(types(second.changes)).toEqual([
      'position.changed',
      'anomaly',
      'position.opened',
      'anomaly',
      'cash.changed',
    ])
    expect(second.portfolio.account).toMatchObject({ cash: '900', doubts: {} })
  })

  test('two readings too close together are not believed', () => {
    expect(readTwice(ours, snapshot('900'), SETTLE_MS - 1).second.changes).toEqual([])
  })

  test('a figure that still moves restarts the window', () => {
    const first = reconcile(ours, readingOf(snapshot('900', ['AAPL', '10', '180']), 1))
    expect(
      reconcile(first.portfolio, later(snapshot('800', ['AAPL', '10', '180']), SETTLE_MS)).changes,
    ).toEqual([])
  })

  test('an execution in between restarts the window, for its symbol and for cash', () => {
    const lagging = snapshot('900', ['MSFT', '1', '400'])
    const first = reconcile(ours, readingOf(lagging, 1))
    const position = ours.positions.get('AAPL')!
    const sold = brokerOrder('filled', '1', 2, { side: 'sell', quantity: dec('1') })
    let slice: Slice = { order: null, position, account: first.portfolio.account }
    for (const update of [
      claimed(intentOf({ side: 'sell', quantity: dec('1') })),
      seen(sold, executionOf('1', '190', '1', 2)),
    ])
      slice = reduce(slice, update, orderKey).slice
    expect(Object.keys(slice.account!.doubts)).toEqual(['position MSFT'])
    const booked = { account: slice.account!, positions: new Map([['AAPL', slice.position!]]) }
    expect(types(reconcile(booked, later(lagging, SETTLE_MS)).changes)).toEqual([
      'position.opened',
      'anomaly',
    ])
  })

  test('a side that turned is a close and an opening', () => {
    const { second } = readTwice(ours, snapshot('1000', ['AAPL', '-3', '190']))
    expect(types(second.changes)).toEqual(['position.closed', 'position.opened', 'anomaly'])
  })

  test('once believed, the same reading again changes nothing', () => {
    const { second } = readTwice(ours, snapshot('900'))
    expect(reconcile(second.portfolio, later(snapshot('900'), 99_000)).changes).toEqual([])
  })
})

describe('reconcile - a difference that an activity explains needs no waiting', () => {
  const held: Row = ['AAPL', '10', '180']

  test('each movement is one change with its cause, once, though listed often', () => {
    const listed = [
      deposit('500'),
      activity({ kind: 'withdrawal', type: 'CSW', amount: dec('-200') }),
      fee('-1.5'),
    ]
    const { first, second } = readTwice(ours, snapshot('1298.5', held), SETTLE_MS, listed)
    expect(causes(first.changes)).toEqual(['deposit 1500', 'withdrawal 1300', 'activity 1298.5'])
    expect(second.changes).toEqual([])
  })

  test('a movement that the cash does not show yet waits for the cash', () => {
    const listed = [deposit('500'), fee('-1')]
    const first = reconcile(ours, readingOf(snapshot('999', held), 1, listed))
    expect(causes(first.changes)).toEqual(['activity 999'])
    expect(
      causes(reconcile(first.portfolio, later(snapshot('1499', held), 1, listed)).changes),
    ).toEqual(['deposit 1499'])
  })

  test('cash that moved before its activity was listed is reported once', () => {
    const { second } = readTwice(ours, snapshot('995', held))
    expect(causes(second.changes)).toEqual(['external 995'])
    const listed = [fee('-5')]
    const third = reconcile(second.portfolio, later(snapshot('995', held), 20_000, listed))
    const fourth = reconcile(
      third.portfolio,
      later(snapshot('995', held), 20_000 + SETTLE_MS, listed),
    )
    expect([...third.changes, ...fourth.changes]).toEqual([])
    // From here on it is accounted for: a later fee of the same size is another one.
    const fifth = reconcile(
      fourth.portfolio,
      later(snapshot('990', held), 60_000, [...listed, fee('-5')]),
    )
    expect(causes(fifth.changes)).toEqual(['activity 990'])
  })

  test.each([
    ['forward split', '100', '90', '18', '1800'],
    ['reverse split', '2', '-8', '900', '1800'],
    ['fee in kind', '9.975', '-0.025', '180.45', '1800'],
  ])('%s: another quantity for the same money', (_what, quantity, moved, entry, cost) => {
    const listed = [
      activity({ kind: 'split', type: 'SPLIT', symbol: 'AAPL', quantity: dec(moved) }),
    ]
    const { changes, portfolio } = reconcile(
      ours,
      readingOf(snapshot('1000', ['AAPL', quantity, entry]), 1, listed),
    )
    expect(types(changes)).toEqual(['position.changed'])
    expect(portfolio.positions.get('AAPL')).toMatchObject({ quantity, cost })
  })

  test('a split that the holding does not show yet waits, and is no anomaly then', () => {
    const listed = [activity({ kind: 'split', type: 'SPLIT', symbol: 'AAPL', quantity: dec('90') })]
    const first = reconcile(ours, readingOf(snapshot('1000', held), 1, listed))
    expect(first.changes).toEqual([])
    const second = reconcile(
      first.portfolio,
      later(snapshot('1000', ['AAPL', '100', '18']), 5_000, listed),
    )
    expect(types(second.changes)).toEqual(['position.changed'])
  })

  test('a renamed symbol closes at its cost and continues under the new name', () => {
    const listed = [
      activity({ kind: 'symbol_change', type: 'NC', symbol: 'AAPL', newSymbol: 'APPL' }),
    ]
    const { changes, portfolio } = reconcile(
      ours,
      readingOf(snapshot('1000', ['APPL', '10', '180']), 1, listed),
    )
    expect(types(changes)).toEqual(['position.closed', 'position.opened'])
    expect(changes[0]).toMatchObject({ position: { realizedPnL: '0' } })
    expect([...portfolio.positions]).toMatchObject([['APPL', { quantity: '10', cost: '1800' }]])
  })

  const change = { kind: 'symbol_change', type: 'NC' } as const
  const gone = activity({ ...change, id: 'gone', symbol: 'AAPL', quantity: dec('-10') })
  const come = activity({ ...change, id: 'come', symbol: 'APPL', quantity: dec('10') })

  test('one symbol gone and one come with equal quantity are one rename', () => {
    const after = snapshot('1000', ['APPL', '10', '180'])
    const { changes, portfolio } = reconcile(ours, readingOf(after, 1, [gone, come]))
    expect(types(changes)).toEqual(['position.closed', 'position.opened'])
    expect([...portfolio.positions]).toMatchObject([['APPL', { quantity: '10', cost: '1800' }]])
    expect(reconcile(portfolio, later(after, 5_000, [gone, come])).changes).toEqual([])
    expect(portfolio.account.activityIds).toEqual(expect.arrayContaining(['gone', 'come']))
  })

  test('two symbols come with equal quantity - no rename is guessed, the window decides', () => {
    const other = activity({ ...change, id: 'other', symbol: 'APLX', quantity: dec('10') })
    const after = snapshot('1000', ['APPL', '10', '180'], ['APLX', '10', '7'])
    expect(reconcile(ours, readingOf(after, 1, [gone, come, other])).changes).toEqual([])
  })
})

describe('reconcile - the broker restates costs overnight', () => {
  const nextDay = (entry: string): Reading => ({
    ...readingOf(snapshot('1000', ['AAPL', '10', entry])),
    atMs: Date.parse(at(0)) + 86_400_000,
  })

  test('they are adopted once, at the first reading of a trading day', () => {
    expect(reconcile(ours, readingOf(snapshot('1000', ['AAPL', '10', '175']), 1)).changes).toEqual(
      [],
    )
    const { changes, portfolio } = reconcile(ours, nextDay('175.25'))
    expect(types(changes)).toEqual(['position.changed'])
    expect(portfolio.positions.get('AAPL')).toMatchObject({ cost: '1752.5' })
    expect(reconcile(portfolio, nextDay('170')).changes).toEqual([])
  })

  test('an average that only rounds ours is no change', () => {
    const thirds = adopted(snapshot('1000', ['AAPL', '3', '0.333333333']))
    const reading = {
      ...nextDay('1'),
      snapshot: readingOf(snapshot('1000', ['AAPL', '3', '0.333333'])).snapshot,
    }
    expect(reconcile(thirds, reading).changes).toEqual([])
  })
})
