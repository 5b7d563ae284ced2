import type { Quote } from '#store'
import type { DayFigures, Tick } from '../broker/index.ts'

/** The most symbols followed at once. */
export const SYMBOLS_MAX = 10_000

type Board = {
  bid: number | null
  ask: number | null
  last: number | null
  volume: number
  previousClose: number | null
  isNew: boolean
  /** True if a price came since the last quote. */
  isPriced: boolean
  /** Time of the last price; '' before the first price. */
  pricedAt: string
}

/**
 * The newest figures of every followed symbol, conflated: `takeChanged` returns one quote per
 * symbol, independent of the number of ticks. Bounded by the number of followed symbols.
 */
export class QuoteBoard {
  readonly #boards = new Map<string, Board>()

  /** Follows exactly these symbols; returns the new symbols. */
  follow(symbols: readonly string[]): string[] {
    const wanted = new Set(symbols.slice(0, SYMBOLS_MAX))
    for (const symbol of this.#boards.keys()) if (!wanted.has(symbol)) this.#boards.delete(symbol)
    const added = [...wanted].filter((symbol) => !this.#boards.has(symbol))
    for (const symbol of added) {
      this.#boards.set(symbol, {
        bid: null,
        ask: null,
        last: null,
        volume: 0,
        previousClose: null,
        ...FRESH,
      })
    }
    return added
  }

  readDay(symbol: string, day: DayFigures): void {
    const board = this.#boards.get(symbol)
    if (board === undefined) return
    board.volume = Math.max(board.volume, day.volume)
    board.previousClose = day.previousClose
    // Day figures do not prove a current price, so known prices keep their age.
    board.isPriced ||= board.bid === null && board.ask === null && board.last === null
    board.bid ??= day.bid
    board.ask ??= day.ask
    board.last ??= day.last
    board.isNew = true
  }

  tick(tick: Tick): void {
    const board = this.#boards.get(tick.symbol)
    if (board === undefined) return
    if (tick.type === 'quote') {
      board.bid = tick.bid
      board.ask = tick.ask
    } else {
      board.last = tick.price
      board.volume += tick.size
    }
    board.isNew = true
    board.isPriced = true
  }

  /**
   * One quote for each symbol that changed since the last call, with the time of its last price:
   * order limits accept a quote only while it is recent (`workers/orders/risk-facts.ts`).
   * @param timestamp now
   */
  takeChanged(timestamp: string): Quote[] {
    const quotes: Quote[] = []
    for (const [symbol, board] of this.#boards) {
      if (!board.isNew) continue
      board.isNew = false
      if (board.isPriced) board.pricedAt = timestamp
      board.isPriced = false
      const { bid, ask, last, volume, previousClose } = board
      const change = last === null || previousClose === null ? null : cents(last - previousClose)
      const changePercent =
        change === null || previousClose === null ? null : cents((change / previousClose) * 100)
      quotes.push({
        symbol,
        bid,
        ask,
        last,
        volume: exact(volume),
        change,
        changePercent,
        timestamp: board.pricedAt,
      })
    }
    return quotes
  }
}

/** Removes the binary rounding error of a sum of sizes, which have at most nine decimals. */
const exact = (value: number): number => Number(value.toFixed(9))
const FRESH = { isNew: false, isPriced: false, pricedAt: '' }

const cents = (value: number): number => Math.round(value * 100) / 100
