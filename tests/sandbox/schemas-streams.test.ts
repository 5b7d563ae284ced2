import { decode } from '@msgpack/msgpack'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { problemsOf, withOneLeafWrong } from './schema-check.ts'
import { call, demoKeys, Wire } from './wire.ts'

/**
 * Every frame and every server-sent event against its schema, and every schema against frames that
 * are wrong.
 */

type Row = Record<string, unknown>

const MINUTE_MS = 60_000
const market = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
const limit = { ...market, type: 'limit', limit_price: '100' }
const wires: Wire[] = []

let sandbox: Sandbox
const settle = (): Promise<unknown> => sandbox.control.advanceTime(1_000)

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'schemas',
    time: 'virtual',
    tickMs: 5_000,
    fillDelayMs: 0,
    partialFills: false,
  })
})
afterEach(async () => {
  wires.splice(0).forEach(({ socket }) => socket.terminate())
  await sandbox.close()
})

async function open(path: string, headers: Record<string, string> = {}): Promise<Wire> {
  const wire = new Wire(sandbox.wsUrl + path, headers)
  wires.push(wire)
  return wire.opened()
}

async function post(request: Row): Promise<string> {
  const { body } = await call(sandbox, 'POST', '/v2/orders', request)
  await settle()
  return (body as { id: string }).id
}

/**
 * A life of every kind: filled, filled in parts, canceled, replaced, rejected, expired, busted,
 * corrected; and money that moves.
 */
async function trade(): Promise<void> {
  await post(market)
  const canceled = await post(limit)
  await call(sandbox, 'DELETE', `/v2/orders/${canceled}`)
  const replaced = await post(limit)
  await call(sandbox, 'PATCH', `/v2/orders/${replaced}`, { limit_price: '101' })
  await post({ ...limit, time_in_force: 'ioc' })
  sandbox.control.armFault({ kind: 'reject_order' })
  await post(market)
  sandbox.control.setPartialFills(true, 1)
  await post({ ...market, side: 'sell', qty: '15' })
  await sandbox.control.advanceTime(MINUTE_MS)
  sandbox.control.armFault({ kind: 'bust_trade' })
  await post({ ...market, symbol: 'MSFT' })
  await sandbox.control.advanceTime(MINUTE_MS)
  sandbox.control.armFault({ kind: 'correct_trade' })
  await post({ ...market, symbol: 'MSFT' })
  await sandbox.control.advanceTime(MINUTE_MS)
  await post({ symbol: 'BTC/USD', qty: '0.01', side: 'buy', type: 'market', time_in_force: 'gtc' })
  for (const type of ['CSD', 'CSW', 'JNLC', 'FEE', 'DIV', 'SPLIT'] as const) {
    sandbox.control.moveMoney('demo-key', { type, amount: '2', symbol: 'MSFT' })
  }
}

const eventOf = (frame: unknown): unknown => ((frame as Row)['data'] as Row)['event']

async function tradeFrames(): Promise<unknown[]> {
  const wire = await open('/stream')
  wire.send({ action: 'listen', data: { streams: ['trade_updates'] } })
  wire.send({ action: 'auth', key: 'demo-key', secret: 'wrong' })
  wire.send({ action: 'auth', key: 'demo-key', secret: 'demo-secret' })
  wire.send({ action: 'listen', data: { streams: ['trade_updates', 'nothing'] } })
  await expect.poll(() => wire.frames.length).toBe(4)
  await trade()
  const orderId = await post(limit)
  sandbox.control.sendTradeEvent(orderId, 'suspended')
  await expect.poll(() => wire.heard.map(eventOf)).toContain('suspended')
  return wire.heard
}

describe('the trading stream', () => {
  test('every frame follows the reference', async () => {
    const frames = await tradeFrames()
    expect(frames.flatMap((frame) => problemsOf('trade-stream', frame))).toEqual([])
    const events = [
      'new',
      'fill',
      'partial_fill',
      'canceled',
      'replaced',
      'rejected',
      'trade_bust',
      'trade_correct',
    ]
    expect(frames.map(eventOf)).toEqual(expect.arrayContaining(events))
  })

  test('any leaf of another type is found in every frame', async () => {
    const frames = await tradeFrames()
    for (const frame of frames) {
      const unseen = withOneLeafWrong(frame).filter(
        ([, copy]) => problemsOf('trade-stream', copy).length === 0,
      )
      expect(unseen.map(([at]) => at)).toEqual([])
    }
  })

  test.each([
    ['an unknown event', { event: 'vanished' }],
    ['a fill without its price', { price: undefined }],
    ['a fill of an order that is not filled', { event: 'fill', order: { status: 'new' } }],
    ['no order', { order: undefined }],
    ['a time without its offset', { timestamp: '2024-01-02T15:04:06.1' }],
    ['an execution that is no id', { execution_id: '1' }],
  ])('%s is found', async (_name, change) => {
    const fill = (await tradeFrames()).find((frame) => eventOf(frame) === 'fill') as { data: Row }
    expect(problemsOf('trade-stream', fill)).toEqual([])
    const planted = { ...fill, data: { ...fill.data, ...change } }
    expect(problemsOf('trade-stream', JSON.parse(JSON.stringify(planted)))).not.toEqual([])
  })
})

describe('the market data streams', () => {
  const feeds = [
    ['/v2/iex', ['AAPL'], ['success', 'subscription', 'error', 't', 'q', 'b', 'd', 'u', 's']],
    ['/v2/test', ['FAKEPACA'], ['success', 'subscription', 'error', 't', 'q', 'b']],
    [
      '/v1beta3/crypto/us',
      ['BTC/USD'],
      ['success', 'subscription', 'error', 't', 'q', 'b', 'd', 'u', 'o'],
    ],
  ] as const

  async function dataFrames(
    path: string,
    symbols: readonly string[],
    headers = {},
  ): Promise<unknown[]> {
    const wire = await open(path, { ...demoKeys, ...headers })
    const extra = path.includes('crypto')
      ? { orderbooks: symbols }
      : { statuses: symbols, lulds: symbols }
    const channels = {
      trades: symbols,
      quotes: symbols,
      bars: symbols,
      updatedBars: symbols,
      dailyBars: symbols,
    }
    wire.send(JSON.stringify({ action: 'subscribe', ...channels, ...extra }))
    wire.send(JSON.stringify({ action: 'fly' }))
    await expect.poll(() => wire.frames.length).toBe(4)
    await sandbox.control.advanceTime(40 * MINUTE_MS)
    sandbox.control.setMarketOpen(false)
    sandbox.control.setMarketOpen(true)
    sandbox.control.sendDataError(500)
    const packed = 'content-type' in headers
    const read = ({ data, binary }: Wire['frames'][number]): unknown =>
      packed && binary ? decode(data) : JSON.parse(data.toString())
    const code = (frame: unknown): unknown => (frame as Row[]).at(-1)?.['code']
    await expect
      .poll(() => wire.frames.slice(4).map(read).map(code), { timeout: 10_000 })
      .toContain(500)
    return wire.frames.map(read)
  }

  const kindOf = (frame: unknown): unknown[] => (frame as Row[]).map((message) => message['T'])

  test.each(feeds)('%s: every frame follows the reference', async (path, symbols, kinds) => {
    const frames = await dataFrames(path, symbols)
    expect([...new Set(frames.flatMap((frame) => problemsOf('data-stream', frame)))]).toEqual([])
    expect([...new Set(frames.flatMap(kindOf))].toSorted()).toEqual(kinds.toSorted())
  })

  test('MessagePack has the same content, with times as timestamps', async () => {
    const frames = await dataFrames('/v2/iex', ['AAPL'], { 'content-type': 'application/msgpack' })
    const news = frames.flatMap((frame) => frame as Row[]).filter((message) => 't' in message)
    expect(news.length).toBeGreaterThan(0)
    expect(news.every((message) => message['t'] instanceof Date)).toBe(true)
    expect(
      frames.flatMap((frame) => problemsOf('data-stream', JSON.parse(JSON.stringify(frame)))),
    ).toEqual([])
  })

  test.each(feeds)(
    '%s: any leaf of another type, or an unknown kind, is found',
    async (path, symbols) => {
      const frames = await dataFrames(path, symbols)
      const oneOfEach = new Map(
        frames.flatMap((frame) => (frame as Row[]).map((message) => [message['T'], message])),
      )
      for (const message of oneOfEach.values()) {
        expect(problemsOf('data-stream', [message])).toEqual([])
        expect(problemsOf('data-stream', message)).not.toEqual([])
        expect(problemsOf('data-stream', [{ ...message, T: 'z' }])).not.toEqual([])
        const unseen = withOneLeafWrong([message]).filter(
          ([, copy]) => problemsOf('data-stream', copy).length === 0,
        )
        expect(unseen.map(([at]) => at)).toEqual([])
      }
    },
  )

  test('an acknowledgement that leaves out an array is found', async () => {
    const frames = await dataFrames('/v2/iex', ['AAPL'])
    const [subscription] = frames.find((frame) => kindOf(frame).includes('subscription')) as [Row]
    const rest = Object.fromEntries(Object.entries(subscription).filter(([key]) => key !== 'lulds'))
    expect(problemsOf('data-stream', [subscription])).toEqual([])
    expect(problemsOf('data-stream', [rest])).not.toEqual([])
  })
})

describe('server-sent events', () => {
  async function events(path: string): Promise<unknown[]> {
    await trade()
    const { body: clock } = await call(sandbox, 'GET', '/v2/clock')
    const until = new Date(Date.parse(String((clock as Row)['timestamp'])) - 1_000).toISOString()
    const url = `${sandbox.url}${path}?since=2020-01-01T00:00:00Z&until=${until}`
    const text = await (await fetch(url, { headers: demoKeys })).text()
    const blocks = text.split('\n\n').filter((block) => block !== '')
    expect(blocks.filter((block) => !/^(data: \{.*\}|:.*)$/.test(block))).toEqual([])
    const data = blocks.filter((block) => block.startsWith('data: '))
    expect(data.length).toBeGreaterThan(2)
    return data.map((block) => JSON.parse(block.slice('data: '.length)) as unknown)
  }
  const streams = [
    ['/v2beta1/events/activities', 'activity-event'],
    ['/v2/events/trades', 'trade-update'],
  ] as const

  test.each(streams)('%s: every event follows the reference', async (path, schema) => {
    const told = await events(path)
    expect(told.flatMap((event) => problemsOf(schema, event))).toEqual([])
  })

  test.each(streams)('%s: any leaf of another type is found', async (path, schema) => {
    for (const event of await events(path)) {
      const unseen = withOneLeafWrong(event).filter(
        ([, copy]) => problemsOf(schema, copy).length === 0,
      )
      expect(unseen.map(([at]) => at)).toEqual([])
    }
  })

  test.each([
    ['an id that is no ULID', { event_id: '1' }],
    ['a bust that names nothing', { previous_id: undefined }],
    ['an amount as a number', { net_amount: 1 }],
    ['an unknown status', { status: 'done' }],
  ])('%s is found', async (_name, change) => {
    const bust = (await events('/v2beta1/events/activities')).find(
      (event) => 'previous_id' in (event as Row),
    )
    expect(problemsOf('activity-event', bust)).toEqual([])
    const planted: unknown = JSON.parse(JSON.stringify({ ...(bust as Row), ...change }))
    expect(problemsOf('activity-event', planted)).not.toEqual([])
  })
})
