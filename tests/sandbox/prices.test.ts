import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Sandbox, type SandboxOptions, startSandbox } from '#sandbox'
import { readFlags } from '../../src/apps/sandbox/flags.ts'
import { call } from './wire.ts'

/** Recorded prices, played again in the time of the broker. */

const recording = `time,symbol,price,size
# An opening of long ago.
2019-05-01T13:30:00Z,AAPL,150,200
2019-05-01T13:30:00.500Z,AAPL,151.25,
2019-05-01T09:30:10-04:00,BTC/USD,9000.5,0.25

2019-05-01T13:31:00Z,AAPL,149.9,70
`
const running: Sandbox[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((sandbox) => sandbox.close()))
})

async function start(options: SandboxOptions): Promise<Sandbox> {
  const sandbox = await startSandbox({
    seed: 'prices',
    fillDelayMs: 0,
    partialFills: false,
    ...options,
  })
  running.push(sandbox)
  return sandbox
}

type Row = Record<string, unknown>
const read = async (sandbox: Sandbox, path: string): Promise<Row> =>
  (await call(sandbox, 'GET', path)).body as Row
const lastTrade = async (sandbox: Sandbox, symbol = 'AAPL'): Promise<Row> =>
  (await read(sandbox, `/v2/stocks/${symbol}/trades/latest`))['trade'] as Row

test('a quiet symbol moves once in twenty steps, and quiet symbols take turns', async () => {
  const sandbox = await start({ time: 'virtual', tickMs: 1_000 })
  const quoted = async (): Promise<number> => {
    const { quotes } = (await read(
      sandbox,
      '/v2/stocks/quotes/latest?symbols=AAPL,AMD,DIS,GOOG,META',
    )) as {
      quotes: Record<string, { t: string }>
    }
    const now = await sandbox.control.advanceTime(0)
    return Object.entries(quotes).filter(
      ([symbol, { t }]) => symbol !== 'AAPL' && Date.parse(t) === now,
    ).length
  }
  const moved: number[] = []
  for (let step = 0; step < 20; step += 1) {
    await sandbox.control.advanceTime(1_000)
    moved.push(await quoted())
  }
  expect(moved.filter((count) => count === 1)).toHaveLength(4)
  expect(moved.filter((count) => count === 0)).toHaveLength(16)
})

describe('a recording', () => {
  test('is played at its own pace, from the moment of the start', async () => {
    const sandbox = await start({ time: 'virtual', prices: recording })
    expect(await lastTrade(sandbox)).toMatchObject({
      p: 150,
      s: 200,
      t: '2024-01-02T14:30:00.000Z',
    })
    expect(await read(sandbox, '/v2/stocks/AAPL/quotes/latest')).toMatchObject({
      quote: { bp: 149.99, ap: 150.01 },
    })
    await sandbox.control.advanceTime(499)
    expect(await lastTrade(sandbox)).toMatchObject({ p: 150 })
    await sandbox.control.advanceTime(1)
    expect(await lastTrade(sandbox)).toMatchObject({
      p: 151.25,
      s: 100,
      t: '2024-01-02T14:30:00.500Z',
    })
    await sandbox.control.advanceTime(10_000)
    const coins = await read(sandbox, '/v1beta3/crypto/us/latest/trades?symbols=BTC/USD')
    expect(coins).toMatchObject({
      trades: { 'BTC/USD': { p: 9000.5, s: 0.25, t: '2024-01-02T14:30:10.000Z' } },
    })
    await sandbox.control.advanceTime(3_600_000)
    expect(await lastTrade(sandbox)).toMatchObject({
      p: 149.9,
      s: 70,
      t: '2024-01-02T14:31:00.000Z',
    })
  })

  test('fills the orders that it makes marketable; other symbols move at random', async () => {
    const sandbox = await start({ time: 'virtual', prices: recording })
    const walked = await lastTrade(sandbox, 'MSFT')
    const request = {
      symbol: 'AAPL',
      qty: '10',
      side: 'buy',
      type: 'limit',
      limit_price: '149.95',
      time_in_force: 'day',
    }
    await call(sandbox, 'POST', '/v2/orders', request)
    await sandbox.control.advanceTime(59_999)
    const executions = () => sandbox.control.ledger('demo-key').accounts['demo-key']?.executions
    expect(executions()).toEqual([])
    await sandbox.control.advanceTime(1)
    expect(executions()).toMatchObject([{ symbol: 'AAPL', price: '149.91', qty: '10' }])
    expect(await lastTrade(sandbox, 'MSFT')).not.toEqual(walked)
  })

  test('the past leads up to its first price', async () => {
    const sandbox = await start({ time: 'virtual', prices: recording })
    const query = 'symbols=AAPL&timeframe=1Hour&start=2024-01-02T10:00:00Z&end=2024-01-02T13:59:00Z'
    const { AAPL } = (await read(sandbox, `/v2/stocks/bars?${query}`))['bars'] as {
      AAPL: { c: number }[]
    }
    expect(AAPL.map(({ c }) => c)).toEqual([150, 150, 150, 150])
    expect(await read(sandbox, '/v2/stocks/AAPL/snapshot')).toMatchObject({
      prevDailyBar: { c: 150 },
    })
  })

  test('its rows for a symbol with a held price are skipped', async () => {
    const sandbox = await start({ time: 'virtual', prices: recording })
    sandbox.control.setPrice('AAPL', { last: '200' })
    await sandbox.control.advanceTime(30_000)
    expect(await lastTrade(sandbox)).toMatchObject({ p: 200 })
    sandbox.control.releasePrice('AAPL')
    await sandbox.control.advanceTime(30_000)
    expect(await lastTrade(sandbox)).toMatchObject({ p: 149.9 })
  })

  test('a gap of days is waited for', async () => {
    const prices = 'time,symbol,price\n2024-01-01,AAPL,10\n2024-01-15,AAPL,20'
    const sandbox = await start({ time: 'virtual', tickMs: 0, prices })
    for (let week = 0; week < 2; week += 1) {
      expect(await lastTrade(sandbox)).toMatchObject({ p: 10 })
      await sandbox.control.advanceTime(7 * 86_400_000)
    }
    expect(await lastTrade(sandbox)).toMatchObject({ p: 20, t: '2024-01-16T14:30:00.000Z' })
  })

  test.each([
    ['real time', {}, '00.050'],
    ['time sixty times as fast', { speed: 60 }, '03.000'],
  ])('runs in %s too', async (_name, options, second) => {
    const prices = `time,symbol,price\n2024-01-01T00:00:00Z,AAPL,10\n2024-01-01T00:00:${second}Z,AAPL,20`
    const sandbox = await start({ tickMs: 0, prices, ...options })
    await expect.poll(() => lastTrade(sandbox)).toMatchObject({ p: 20 })
  })
})

describe('an unreadable row is refused with its line', () => {
  const row = '2024-01-01T00:00:00Z,AAPL,10,5'
  test.each([
    ['', 'there are no trades in it'],
    ['# nothing', 'there are no trades in it'],
    [
      'symbol,price\nAAPL,10',
      'line 1: the header must be time,symbol,price or time,symbol,price,size',
    ],
    ['time,symbol,price,size', 'there are no trades in it'],
    [`time,symbol,price\n${row}`, 'line 2: 3 fields are expected, there are 4'],
    ['time,symbol,price\n\n#\n2024-01-01,AAPL', 'line 4: 3 fields are expected, there are 2'],
    [
      `time,symbol,price,size\r\n${row}\r\nyesterday,AAPL,10,5`,
      'line 3: the time must be RFC 3339',
    ],
    [
      `time,symbol,price,size\n${row}\n2023-12-31,AAPL,10,5`,
      'line 3: the time is before that of the line above',
    ],
    ['time,symbol,price\n2024-01-01,NOPE,10', 'line 2: "NOPE" is no symbol of the sandbox'],
    ['time,symbol,price\n2024-01-01,AAPL,ten', 'line 2: the price must be above 0.01'],
    ['time,symbol,price\n2024-01-01,AAPL,0.01', 'line 2: the price must be above 0.01'],
    [
      'time,symbol,price\n2024-01-01,AAPL,1.00001',
      'line 2: the price must be above 0.01 with at most 4 decimals',
    ],
    ['time,symbol,price,size\n2024-01-01,AAPL,10,-5', 'line 2: the size must be above 0'],
    [
      `time,symbol,price,size\n${`${row}\n`.repeat(200_001)}`,
      'line 200002: more than 200000 trades',
    ],
  ])('%.60s', async (prices, words) => {
    const folder = mkdtempSync(join(tmpdir(), 'prices-'))
    try {
      const file = join(folder, 'prices.csv')
      writeFileSync(file, prices)
      expect(() => readFlags(['--prices', file])).toThrow(`--prices ${file}: ${words}`)
      if (prices !== '') await expect(startSandbox({ prices })).rejects.toThrow(words)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('a missing or too large file is refused', () => {
    expect(() => readFlags(['--prices', '/no/such/file'])).toThrow('--prices /no/such/file: ENOENT')
    const folder = mkdtempSync(join(tmpdir(), 'prices-'))
    const file = join(folder, 'prices.csv')
    writeFileSync(file, '')
    truncateSync(file, 17 * 1024 * 1024)
    expect(() => readFlags(['--prices', file])).toThrow('larger than 16777216 bytes')
    rmSync(folder, { recursive: true })
  })

  test('a readable file is played by the sandbox', () => {
    const folder = mkdtempSync(join(tmpdir(), 'prices-'))
    const file = join(folder, 'prices.csv')
    writeFileSync(file, recording)
    expect(readFlags(['--prices', file])).toMatchObject({ prices: recording })
    rmSync(folder, { recursive: true })
  })
})
