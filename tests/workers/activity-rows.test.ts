import { describe, expect, test } from 'vitest'
import { adopt, dec, reconcile } from '#domain'
import { readActivity, readActivityEvent } from '../../workers/broker/alpaca/wire.ts'
import { at, readingOf } from '../domain/orders.ts'

// Alpaca's activities other than executions: which of them change a holding, and which only name
// the shares they were paid on.

const row = (over: object) =>
  readActivity({
    id: '20260105000000000::one',
    activity_type: 'DIV',
    date: '2026-01-05',
    net_amount: '0',
    ...over,
  })

/** Every type that Alpaca documents, by the meaning of its quantity. */
const PAID_ON = [
  'DIV',
  'DIVCGL',
  'DIVCGS',
  'DIVFEE',
  'DIVFT',
  'DIVNRA',
  'DIVROC',
  'DIVTW',
  'DIVTXEX',
  'INT',
  'INTNRA',
  'INTTW',
  'FEE',
  'CSD',
  'CSW',
  'TRANS',
  'JNLC',
  'ACATC',
  'PTC',
  'PTR',
]
const MOVED = [
  'SPLIT',
  'SSP',
  'SPIN',
  'SSO',
  'MA',
  'REORG',
  'NC',
  'SC',
  'ACATS',
  'JNL',
  'JNLS',
  'FOPT',
  'MISC',
  'OPASN',
  'OPEXP',
  'OPEXC',
  'OPXRC',
  'OPTRD',
  'OPCA',
]

describe('the quantity of an activity', () => {
  test.each(PAID_ON)('%s: shares on which money was paid change no holding', (type) => {
    const read = row({ activity_type: type, symbol: 'AAPL', qty: '10', net_amount: '2.4' })
    expect(read).toMatchObject({ type, symbol: 'AAPL', quantity: null, amount: '2.4' })
  })

  test.each(MOVED)('%s: shares that came or went change the holding', (type) => {
    const read = row({ activity_type: type, symbol: 'AAPL', qty: '-3' })
    expect(read).toMatchObject({ type, symbol: 'AAPL', quantity: '-3', amount: null })
  })

  test('of an unknown type explains no holding', () => {
    expect(row({ activity_type: 'NEWER', symbol: 'AAPL', qty: '5' })).toMatchObject({
      kind: 'other',
      quantity: null,
    })
  })

  test('a fee in coins changes the holding of the pair, named as orders name it', () => {
    const read = row({ activity_type: 'CFEE', symbol: 'BTCUSD', qty: '-0.00025' })
    expect(read).toMatchObject({ symbol: 'BTC/USD', quantity: '-0.00025', amount: null })
  })

  test('the activity stream reports it in the same way', () => {
    const told = readActivityEvent(
      JSON.stringify({
        event_id: 'e',
        activity_type: 'DIV',
        at: '2026-01-05T10:00:00Z',
        ref_id: 'one',
        net_amount: '2.4',
        qty: '10',
        details: { symbol: 'AAPL' },
      }),
    )
    expect(told).toMatchObject({
      told: { activity: { type: 'DIV', quantity: null, amount: '2.4' } },
    })
  })
})

test('a dividend on ten shares does not explain ten shares from another source', () => {
  const held = (quantity: string) => ({
    cash: dec('1000'),
    positions: [
      {
        symbol: 'AAPL',
        quantity: dec(quantity),
        averageEntryPrice: dec('180'),
        currentPrice: null,
      },
    ],
  })
  const dividend = row({ symbol: 'AAPL', qty: '10', net_amount: '2.4', created_at: at(1) })
  const { portfolio, changes } = reconcile(
    adopt('c', readingOf(held('10'))),
    readingOf(held('20'), 1, [dividend]),
  )
  expect(portfolio.positions.get('AAPL')?.quantity).toBe('10')
  expect(changes).toEqual([])
})
