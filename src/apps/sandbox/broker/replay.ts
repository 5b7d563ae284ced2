import type { CancelTimer, Clock } from '#runtime'
import { parseStamp } from '../stamps.ts'
import { type Asset, findAsset } from './assets.ts'
import { type Decimal, decimal, decimalPlaces, parseDecimal } from './decimals.ts'

/**
 * Replays recorded prices, trade by trade. The first trade happens at the start of the sandbox,
 * regardless of its recorded time. Each later trade keeps its recorded distance to the first, in
 * the time of the broker: real, fast or virtual.
 */

/** One recorded trade. */
export type RecordedTrade = Readonly<{ timeMs: number; asset: Asset; price: Decimal; size: number }>

/** The whole recording is held in memory. */
const TRADES_MAX = 200_000
const SIZE_DEFAULT = 100
const SIZE_MAX = 1_000_000_000
const PRICE_PLACES_MAX = 4
/** The price must leave room for a bid of at least one cent below it. */
const PRICE_ABOVE = decimal('0.01')
const HEADER = /^time,symbol,price(,size)?$/
/** Real timers cannot wait for a month: a longer wait is split into days. */
const WAIT_MS_MAX = 86_400_000

function priceOf(text: string): Decimal {
  const price = parseDecimal(text)
  if (price?.gt(PRICE_ABOVE) !== true || decimalPlaces(price) > PRICE_PLACES_MAX) {
    throw new RangeError(
      `the price must be above 0.01 with at most ${PRICE_PLACES_MAX} decimals, not "${text}"`,
    )
  }
  return price
}

function sizeOf(text: string | undefined): number {
  if (text === undefined || text === '') return SIZE_DEFAULT
  const size = /^\d{1,10}(\.\d{1,9})?$/.test(text) ? Number(text) : 0
  if (size <= 0 || size > SIZE_MAX)
    throw new RangeError(`the size must be above 0 and at most ${SIZE_MAX}, not "${text}"`)
  return size
}

function tradeOf(line: string, columns: number): RecordedTrade {
  const fields = line.split(',').map((field) => field.trim())
  if (fields.length > columns || fields.length < 3) {
    throw new RangeError(`${columns} fields are expected, there are ${fields.length}`)
  }
  const [time = '', symbol = '', price = '', size] = fields
  const stamp = parseStamp(time)
  if (stamp === undefined)
    throw new RangeError(`the time must be RFC 3339, like 2024-01-02T14:30:00Z, not "${time}"`)
  const asset = findAsset(symbol)
  if (asset === undefined) throw new RangeError(`"${symbol}" is no symbol of the sandbox`)
  return { timeMs: Date.parse(stamp), asset, price: priceOf(price), size: sizeOf(size) }
}

/**
 * Reads CSV: the header `time,symbol,price` or `time,symbol,price,size`, then one trade per line,
 * oldest first. Empty lines and lines that begin with # are skipped.
 * @throws {RangeError} naming the line and its error
 */
export function parseRecording(csv: string): readonly RecordedTrade[] {
  const trades: RecordedTrade[] = []
  let columns = 0
  const read = (line: string): void => {
    if (columns === 0) {
      if (!HEADER.test(line))
        throw new RangeError('the header must be time,symbol,price or time,symbol,price,size')
      columns = line.split(',').length
      return
    }
    const trade = tradeOf(line, columns)
    const last = trades.at(-1)
    if (last !== undefined && trade.timeMs < last.timeMs)
      throw new RangeError('the time is before that of the line above')
    if (trades.length === TRADES_MAX) throw new RangeError(`more than ${TRADES_MAX} trades`)
    trades.push(trade)
  }
  for (const [index, raw] of csv
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    try {
      read(line)
    } catch (error) {
      throw new RangeError(`line ${index + 1}: ${(error as RangeError).message}`, { cause: error })
    }
  }
  if (trades.length === 0) throw new RangeError('there are no trades in it')
  return trades
}

/** Plays the trades from now on, until the last. @param play is called for each trade, in order */
export function replay(
  trades: readonly RecordedTrade[],
  clock: Clock,
  play: (trade: RecordedTrade) => void,
): CancelTimer {
  const shiftMs = clock.now() - (trades[0]?.timeMs ?? 0)
  let next = 0
  let cancel: CancelTimer = () => undefined
  const playDue = (): void => {
    for (let trade = trades[next]; trade !== undefined; trade = trades[next]) {
      const waitMs = trade.timeMs + shiftMs - clock.now()
      if (waitMs > 0) {
        cancel = clock.after(Math.min(waitMs, WAIT_MS_MAX), playDue)
        return
      }
      next += 1
      play(trade)
    }
  }
  // In the next turn, because the price listeners are registered by then.
  cancel = clock.after(0, playDue)
  return () => cancel()
}
