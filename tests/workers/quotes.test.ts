import { describe, expect, test } from 'vitest'
import { QuoteBoard } from '../../workers/market/quotes.ts'

const day = { bid: 1, ask: 2, last: 1.5, volume: 1_000, previousClose: 1.25 }

describe('QuoteBoard', () => {
  test('any number of ticks make one quote a symbol, with the newest figures', () => {
    const board = new QuoteBoard()
    expect(board.follow(['AAPL', 'TSLA'])).toEqual(['AAPL', 'TSLA'])
    board.readDay('AAPL', day)
    for (let i = 0; i < 10; i += 1)
      board.tick({ type: 'quote', symbol: 'AAPL', bid: 10 + i, ask: 20 + i })
    board.tick({ type: 'trade', symbol: 'AAPL', price: 2.5, size: 7 })
    expect(board.takeChanged('now')).toEqual([
      {
        symbol: 'AAPL',
        bid: 19,
        ask: 29,
        last: 2.5,
        volume: 1_007,
        change: 1.25,
        changePercent: 100,
        timestamp: 'now',
      },
    ])
    expect(board.takeChanged('now')).toEqual([])
  })

  test('a volume is the sum of its sizes, without the digits of binary fractions', () => {
    const board = new QuoteBoard()
    board.follow(['BTC/USD'])
    for (const size of [0.1, 0.2, 0.000000001])
      board.tick({ type: 'trade', symbol: 'BTC/USD', price: 60_000, size })
    expect(board.takeChanged('now')).toMatchObject([{ volume: 0.300000001 }])
  })

  test('an unknown figure is null, never zero', () => {
    const board = new QuoteBoard()
    board.follow(['AAPL'])
    board.tick({ type: 'quote', symbol: 'AAPL', bid: null, ask: 3 })
    expect(board.takeChanged('now')).toMatchObject([
      { bid: null, ask: 3, last: null, change: null, changePercent: null },
    ])
  })

  test('figures of the day do not renew a quote: it carries the time of its last price', () => {
    const board = new QuoteBoard()
    board.follow(['AAPL'])
    board.readDay('AAPL', day)
    expect(board.takeChanged('first')).toMatchObject([{ timestamp: 'first' }])
    board.readDay('AAPL', { ...day, bid: 5, ask: 6, volume: 2_000 })
    expect(board.takeChanged('a minute later')).toMatchObject([
      { ask: 2, volume: 2_000, timestamp: 'first' },
    ])
    board.tick({ type: 'quote', symbol: 'AAPL', bid: 5, ask: 6 })
    expect(board.takeChanged('at last')).toMatchObject([{ ask: 6, timestamp: 'at last' }])
  })

  test('a symbol without followers is forgotten', () => {
    const board = new QuoteBoard()
    board.follow(['AAPL'])
    board.tick({ type: 'trade', symbol: 'AAPL', price: 1, size: 1 })
    expect(board.follow(['TSLA'])).toEqual(['TSLA'])
    expect(board.takeChanged('now')).toEqual([])
  })
})
