import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { call } from './wire.ts'

/** The exchange's calendar, the clock that agrees with it, and a market that keeps its hours. */

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

/** A fake clock that begins when the test wants. */
class ClockFrom extends FakeClock {
  readonly #shiftMs: number

  constructor(begin: string) {
    super()
    this.#shiftMs = Date.parse(begin) - super.now()
  }

  override now(): number {
    return super.now() + this.#shiftMs
  }
}

let sandbox: Sandbox
let clock: FakeClock

async function beginAt(time: string): Promise<void> {
  await sandbox.close()
  clock = new ClockFrom(time)
  sandbox = await startSandbox({
    seed: 'calendar',
    clock,
    tickMs: 0,
    partialFills: false,
    marketOpen: 'calendar',
  })
}

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'calendar', tickMs: 0 })
})

afterEach(() => sandbox.close())

type Day = Record<string, string>
const days = async (query: string): Promise<Day[]> =>
  (await call(sandbox, 'GET', `/v2/calendar?${query}`)).body as Day[]
const dates = async (query: string): Promise<(string | undefined)[]> =>
  (await days(query)).map(({ date }) => date)
const wallClock = async (): Promise<unknown> => (await call(sandbox, 'GET', '/v2/clock')).body

describe('the calendar', () => {
  test('gives a day its hours and settlement, in either form of date', async () => {
    const day = {
      date: '2024-01-02',
      open: '09:30',
      close: '16:00',
      session_open: '0400',
      session_close: '2000',
      settlement_date: '2024-01-04',
    }
    expect(await days('start=2024-01-02&end=2024-01-02')).toEqual([day])
    expect(await days('start=2024-01-02T00:00:00.000Z&end=2024-01-02T00:00:00.000Z')).toEqual([day])
  })

  test('leaves out weekends and holidays, and closes early', async () => {
    expect(await dates('start=2024-03-27&end=2024-04-02')).toEqual([
      '2024-03-27',
      '2024-03-28',
      '2024-04-01',
      '2024-04-02',
    ])
    const july = await days('start=2024-07-03&end=2024-07-05')
    expect(july).toMatchObject([
      { date: '2024-07-03', close: '13:00', session_close: '1700' },
      { date: '2024-07-05', close: '16:00' },
    ])
  })

  const shut: [year: number, holidays: string[]][] = [
    [2021, ['01-01', '01-18', '02-15', '04-02', '05-31', '07-05', '09-06', '11-25', '12-24']],
    [2022, ['01-17', '02-21', '04-15', '05-30', '06-20', '07-04', '09-05', '11-24', '12-26']],
    [
      2023,
      ['01-02', '01-16', '02-20', '04-07', '05-29', '06-19', '07-04', '09-04', '11-23', '12-25'],
    ],
    [
      2024,
      ['01-01', '01-15', '02-19', '03-29', '05-27', '06-19', '07-04', '09-02', '11-28', '12-25'],
    ],
    [
      2025,
      [
        '01-01',
        '01-09',
        '01-20',
        '02-17',
        '04-18',
        '05-26',
        '06-19',
        '07-04',
        '09-01',
        '11-27',
        '12-25',
      ],
    ],
    [
      2026,
      ['01-01', '01-19', '02-16', '04-03', '05-25', '06-19', '07-03', '09-07', '11-26', '12-25'],
    ],
  ]
  test.each(shut)('%i keeps the holidays %o', async (year, holidays) => {
    const open = new Set(await dates(`start=${year}-01-01&end=${year}-12-31`))
    const missing: string[] = []
    for (let at = Date.UTC(year, 0, 1); at < Date.UTC(year + 1, 0, 1); at += DAY_MS) {
      const date = new Date(at).toISOString().slice(0, 10)
      const weekday = new Date(at).getUTCDay()
      if (weekday > 0 && weekday < 6 && !open.has(date)) missing.push(date.slice(5))
    }
    expect(missing).toEqual(holidays)
  })

  test.each([
    [2024, ['07-03', '11-29', '12-24']],
    [2025, ['07-03', '11-28', '12-24']],
    [2026, ['11-27', '12-24']],
  ])('%i closes early on %o', async (year, early) => {
    const all = await days(`start=${year}-01-01&end=${year}-12-31`)
    expect(all.filter(({ close }) => close === '13:00').map(({ date }) => date?.slice(5))).toEqual(
      early,
    )
  })

  test('lists the days that settle in a range', async () => {
    expect(await dates('start=2024-06-20&end=2024-06-21&date_type=SETTLEMENT')).toEqual([
      '2024-06-18',
      '2024-06-20',
    ])
  })

  test.each(['start=soon', 'date_type=LUNAR'])('refuses %s', async (query) => {
    expect((await call(sandbox, 'GET', `/v2/calendar?${query}`)).status).toBe(422)
  })

  test('is read by the official SDK', async () => {
    const alpaca = new Alpaca({
      keyId: 'demo-key',
      secret: 'demo-secret',
      paper: true,
      rateLimit: false,
      fetchApi: (url, init) => {
        const { pathname, search } = new URL(url)
        return fetch(sandbox.url + pathname + search, init)
      },
    })
    const span = { start: new Date('2024-07-03'), end: new Date('2024-07-04') }
    expect(await alpaca.trading.calendar.legacyCalendar(span)).toMatchObject([
      { open: '09:30', close: '13:00' },
    ])
  })
})

describe('the clock', () => {
  const table: [now: string, isOpen: boolean, nextOpen: string, nextClose: string][] = [
    ['2024-03-15T09:29:59-04:00', false, '2024-03-15T09:30:00-04:00', '2024-03-15T16:00:00-04:00'],
    ['2024-03-15T09:30:00-04:00', true, '2024-03-18T09:30:00-04:00', '2024-03-15T16:00:00-04:00'],
    ['2024-03-15T16:00:00-04:00', false, '2024-03-18T09:30:00-04:00', '2024-03-18T16:00:00-04:00'],
    ['2024-03-08T17:00:00-05:00', false, '2024-03-11T09:30:00-04:00', '2024-03-11T16:00:00-04:00'],
    ['2024-11-01T17:00:00-04:00', false, '2024-11-04T09:30:00-05:00', '2024-11-04T16:00:00-05:00'],
    ['2024-07-03T12:59:00-04:00', true, '2024-07-05T09:30:00-04:00', '2024-07-03T13:00:00-04:00'],
    ['2024-07-03T13:00:00-04:00', false, '2024-07-05T09:30:00-04:00', '2024-07-05T16:00:00-04:00'],
    ['2024-07-04T12:00:00-04:00', false, '2024-07-05T09:30:00-04:00', '2024-07-05T16:00:00-04:00'],
  ]
  test.each(table)('at %s is_open is %s', async (timestamp, isOpen, nextOpen, nextClose) => {
    await beginAt(timestamp)
    expect(await wallClock()).toEqual({
      timestamp,
      is_open: isOpen,
      next_open: nextOpen,
      next_close: nextClose,
    })
  })

  test('moves with the hours; a command opens or closes until the calendar is back', async () => {
    await beginAt('2024-03-18T09:25:00-04:00')
    await clock.advance(10 * MINUTE_MS)
    expect(await wallClock()).toMatchObject({ is_open: true })
    sandbox.control.setMarketOpen(false)
    expect(await wallClock()).toMatchObject({ is_open: false })
    sandbox.control.setMarketSession('calendar')
    expect(await wallClock()).toMatchObject({ is_open: true })
  })
})

describe('orders by the calendar', () => {
  type Row = Record<string, string | null>
  const rest = {
    symbol: 'AAPL',
    qty: '1',
    side: 'buy',
    type: 'limit',
    limit_price: '9',
    time_in_force: 'day',
  }
  const place = async (change: object = {}): Promise<string> => {
    const answer = await call(sandbox, 'POST', '/v2/orders', { ...rest, ...change })
    expect(answer.status).toBe(200)
    await clock.advance(1)
    return (answer.body as Row)['id'] ?? ''
  }
  const statusOf = async (id: string): Promise<string | null | undefined> =>
    ((await call(sandbox, 'GET', `/v2/orders/${id}`)).body as Row)['status']

  test('a day order ends at the close, one for extended hours when they end', async () => {
    await beginAt('2024-07-03T12:55:00-04:00')
    const day = await place()
    const extended = await place({ extended_hours: true })
    await clock.advance(10 * MINUTE_MS)
    expect([await statusOf(day), await statusOf(extended)]).toEqual(['expired', 'new'])
    await clock.advance(240 * MINUTE_MS)
    expect(await statusOf(extended)).toBe('expired')
  })

  test('an order placed before the opening waits for it', async () => {
    await beginAt('2024-03-18T09:25:00-04:00')
    const id = await place()
    expect(await statusOf(id)).toBe('accepted')
    await clock.advance(10 * MINUTE_MS)
    expect(await statusOf(id)).toBe('new')
  })

  test.each([
    ['2024-03-18T09:27:59-04:00', true, true],
    ['2024-03-18T09:28:00-04:00', false, true],
    ['2024-03-18T15:50:00-04:00', false, false],
    ['2024-03-18T19:00:00-04:00', true, true],
    ['2024-07-03T12:50:00-04:00', false, false],
    ['2024-07-04T12:00:00-04:00', true, true],
  ])('at %s opg orders are accepted: %s, cls orders: %s', async (time, opg, cls) => {
    await beginAt(time)
    const taken = async (timeInForce: string): Promise<boolean> =>
      (await call(sandbox, 'POST', '/v2/orders', { ...rest, time_in_force: timeInForce }))
        .status === 200
    expect([await taken('opg'), await taken('cls')]).toEqual([opg, cls])
  })
})
