import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { call, demoKeys } from './wire.ts'

/** The event streams over HTTP: the history that they replay, and their ends. */

type Event = Record<string, unknown> & {
  event_id: string
  event: string
  details: Record<string, unknown>
}

let sandbox: Sandbox
let clock: FakeClock
const readers: Reader[] = []

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({
    seed: 'sse',
    tickMs: 0,
    fillDelayMs: 0,
    partialFills: false,
    clock,
  })
})
afterEach(async () => {
  readers.splice(0).forEach((reader) => reader.stop())
  await sandbox.close()
})

/** An open event stream with everything it heard, comments included. */
class Reader {
  heard = ''
  ended = false
  readonly #abort = new AbortController()

  async open(path: string, headers: Record<string, string> = demoKeys): Promise<Response> {
    readers.push(this)
    const response = await fetch(sandbox.url + path, { headers, signal: this.#abort.signal })
    void this.#read(response).catch(() => (this.ended = true))
    return response
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? [])
      this.heard += decoder.decode(chunk as Uint8Array, { stream: true })
    this.ended = true
  }

  get events(): Event[] {
    const blocks = this.heard.split('\n\n').filter((block) => block.startsWith('data: '))
    return blocks.map((block) => JSON.parse(block.slice('data: '.length)) as Event)
  }

  stop(): void {
    this.#abort.abort()
  }
}

async function reader(path: string): Promise<Reader> {
  const opened = new Reader()
  const response = await opened.open(path)
  expect(response.status).toBe(200)
  return opened
}

/** Buys and waits for the fill: the events `new` and `fill`. */
async function buy(qty = '10', headers: Record<string, string> = demoKeys): Promise<void> {
  const order = { symbol: 'AAPL', qty, side: 'buy', type: 'market', time_in_force: 'day' }
  expect(await call(sandbox, 'POST', '/v2/orders', order, headers)).toMatchObject({ status: 200 })
  await clock.advance(1_000)
}

const TRADES = '/v2/events/trades'
const ACTIVITIES = '/v2beta1/events/activities'
const names = ({ events }: Reader): string[] => events.map(({ event }) => event)

describe('order events', () => {
  test('live: each change once, as on the trade stream, after a comment', async () => {
    await buy()
    const live = await reader(TRADES)
    await expect.poll(() => live.heard).toBe(':heartbeat\n\n')
    await buy('3')
    await expect.poll(() => names(live)).toEqual(['new', 'fill'])
    expect(live.heard).toMatch(/^(:heartbeat\n\n)(data: \{[^\n]*\}\n\n){2}$/)
    expect(live.events[1]).toMatchObject({
      price: '185.11',
      qty: '3',
      position_qty: '13',
      order: { status: 'filled', filled_qty: '3' },
    })
    await clock.advance(14_000)
    await expect.poll(() => live.heard).toMatch(/\}\n\n:heartbeat\n\n$/)
  })

  test('since_id: history first, that event included, then live on the same response', async () => {
    await buy()
    await buy('2')
    const all = await reader(`${TRADES}?since=2024-03-15`)
    await expect.poll(() => names(all)).toEqual(['new', 'fill', 'new', 'fill'])
    const third = all.events[2]?.event_id ?? ''
    const rest = await reader(`${TRADES}?since_id=${third}`)
    await expect.poll(() => rest.events).toEqual(all.events.slice(2))
    await buy('1')
    await expect.poll(() => rest.events.length).toBe(4)
    await expect.poll(() => all.events.slice(2)).toEqual(rest.events)
    const ids = all.events.map(({ event_id }) => event_id)
    expect(ids.toSorted()).toEqual(ids)
  })

  test('until_id and until: the stream ends there with every event up to it', async () => {
    await buy()
    await buy('2')
    const all = await reader(`${TRADES}?since=2024-03-15`)
    await expect.poll(() => all.events.length).toBe(4)
    const [first, , third] = all.events
    const byId = await reader(`${TRADES}?since_id=${first?.event_id}&until_id=${third?.event_id}`)
    await expect.poll(() => byId.ended).toBe(true)
    expect(byId.events).toEqual(all.events.slice(0, 3))
    const byTime = await reader(
      `${TRADES}?since=2024-03-15T13:00:00Z&until=${String(first?.['at'])}`,
    )
    await expect.poll(() => byTime.ended).toBe(true)
    expect(byTime.events).toEqual([first])
    const empty = await reader(`${TRADES}?since=2024-03-01&until=2024-03-02`)
    await expect.poll(() => empty.ended).toBe(true)
    expect(empty.events).toEqual([])
  })

  test('until in the future: live until then', async () => {
    const soon = await reader(`${TRADES}?since=2024-03-15&until=2024-03-15T14:00:05Z`)
    await expect.poll(() => soon.heard).not.toBe('')
    await buy()
    await expect.poll(() => soon.events.length).toBe(2)
    expect(soon.ended).toBe(false)
    await clock.advance(5_000)
    await expect.poll(() => soon.ended).toBe(true)
  })

  test.each([
    ['until=2024-03-15', 'until requires since'],
    ['until_id=01HCMKX5V7P3S1V3JYZ4K0Q8ZB', 'until_id requires since_id'],
    ['since=2024-03-15&until_id=01HCMKX5V7P3S1V3JYZ4K0Q8ZB', 'until_id requires since_id'],
    [
      'since=2024-03-15&since_id=01HCMKX5V7P3S1V3JYZ4K0Q8ZB',
      'since and since_id cannot be used together',
    ],
    ['since=yesterday', 'invalid since: yesterday'],
    ['since_id=7', 'invalid since_id: 7'],
  ])('%s is refused', async (query, message) => {
    for (const path of [TRADES, ACTIVITIES]) {
      expect(await call(sandbox, 'GET', `${path}?${query}`)).toMatchObject({
        status: 400,
        body: { message },
      })
    }
  })

  test('accounts get only their own events; a revoked key is cut off', async () => {
    const other = { 'apca-api-key-id': 'demo-key-2', 'apca-api-secret-key': 'demo-secret-2' }
    const mine = await reader(TRADES)
    const theirs = new Reader()
    await theirs.open(TRADES, other)
    await buy('1', other)
    await expect.poll(() => theirs.events.length).toBe(2)
    expect(mine.events).toEqual([])
    sandbox.control.revokeKey('demo-key-2')
    await expect.poll(() => theirs.ended).toBe(true)
    expect(mine.ended).toBe(false)
    expect((await new Reader().open(TRADES, other)).status).toBe(401)
  })
})

describe('activities', () => {
  test('an execution, with its execution id and its effect on the cash', async () => {
    const live = await reader(ACTIVITIES)
    const trades = await reader(TRADES)
    await expect.poll(() => live.heard + trades.heard).toBe(':heartbeat\n\n:heartbeat\n\n')
    await buy('4')
    await expect.poll(() => live.events.length).toBe(1)
    await expect.poll(() => trades.events.length).toBe(2)
    const fill = trades.events[1]
    const order = fill?.['order'] as Record<string, unknown>
    expect(live.events[0]).toStrictEqual({
      event_id: fill?.event_id,
      activity_type: 'TRD',
      at: fill?.['at'],
      executed_at: fill?.['timestamp'],
      ref_id: fill?.['execution_id'],
      status: 'executed',
      settle_date: '2024-03-18',
      currency: 'USD',
      qty: '4',
      price: '185.11',
      net_amount: '-740.44',
      details: {
        asset_id: order['asset_id'],
        symbol: 'AAPL',
        side: 'buy',
        order_id: order['id'],
        client_order_id: order['client_order_id'],
        order_status: 'filled',
        cum_qty: '4',
        leaves_qty: '0',
        execution_type: 'fill',
      },
    })
  })

  test('money moved otherwise: deposit, withdrawal, fee, dividend, split', async () => {
    await buy('4')
    const live = await reader(ACTIVITIES)
    await expect.poll(() => live.heard).toBe(':heartbeat\n\n')
    const move = (type: 'CSD' | 'CSW' | 'JNLC' | 'FEE' | 'DIV' | 'SPLIT', amount: string) =>
      sandbox.control.moveMoney('demo-key', { type, amount, symbol: 'AAPL' })
    const row = move('CSD', '50')
    move('CSW', '20')
    move('JNLC', '-5')
    move('FEE', '1.5')
    move('DIV', '0.25')
    move('SPLIT', '2')
    await buy('1')
    await expect.poll(() => live.events.length).toBe(7)
    const kinds = live.events.map((event) => [
      event['activity_type'],
      event['net_amount'],
      event['qty'],
    ])
    expect(kinds).toEqual([
      ['CSD', '50', undefined],
      ['CSW', '-20', undefined],
      ['JNLC', '-5', undefined],
      ['FEE', '-1.5', undefined],
      ['DIV', '1', '4'],
      ['SPLIT', '0', '4'],
      ['TRD', '-185.11', '1'],
    ])
    const [deposit] = live.events
    expect(row['id']).toBe(`20240315000000000::${String(deposit?.['ref_id'])}`)
    expect(deposit).toMatchObject({
      status: 'executed',
      currency: 'USD',
      settle_date: '2024-03-15',
    })
    const ids = live.events.map(({ event_id }) => event_id)
    expect(ids.toSorted()).toEqual(ids)
    const replayed = await reader(`${ACTIVITIES}?since_id=${ids[3]}&until_id=${ids[5]}`)
    await expect.poll(() => replayed.ended).toBe(true)
    expect(replayed.events).toEqual(live.events.slice(3, 6))
  })

  test('a crypto fee follows its execution', async () => {
    const live = await reader(ACTIVITIES)
    await expect.poll(() => live.heard).toBe(':heartbeat\n\n')
    const order = { symbol: 'BTC/USD', qty: '1', side: 'buy', type: 'market', time_in_force: 'gtc' }
    await call(sandbox, 'POST', '/v2/orders', order)
    await clock.advance(1_000)
    await expect
      .poll(() => live.events.map((event) => event['activity_type']))
      .toEqual(['TRD', 'CFEE'])
  })

  test('the official SDK reads the raw events', async () => {
    const alpaca = new Alpaca({
      keyId: 'demo-key',
      secret: 'demo-secret',
      paper: true,
      rateLimit: false,
      retry: false,
      timeoutMs: 0,
      fetchApi: (url, init) =>
        fetch(sandbox.url + new URL(url).pathname + new URL(url).search, init),
    })
    await buy('4')
    const { event_id: sinceId } = await (async () => {
      const all = await reader(`${ACTIVITIES}?since=2024-03-15`)
      await expect.poll(() => all.events.length).toBe(1)
      return all.events[0] as Event
    })()
    const { raw } = await alpaca.trading.events.subscribeToActivitiesSSERaw({
      sinceId,
      untilId: sinceId,
    })
    expect(await raw.text()).toMatch(/^:heartbeat\n\ndata: \{"event_id":"[^\n]+\}\n\n$/)
  })
})

describe('faults', () => {
  test('drop_for_slowness - events are lost and counted; since_id brings them back', async () => {
    const live = await reader(TRADES)
    await expect.poll(() => live.heard).toBe(':heartbeat\n\n')
    sandbox.control.armFault({ kind: 'drop_for_slowness', nth: 2, count: 2 })
    await buy()
    await buy('3')
    await expect.poll(() => names(live)).toEqual(['new', 'fill'])
    expect(live.heard.match(/: you are reading too slowly, dropped 1 messages\n\n/g)).toHaveLength(
      2,
    )
    const all = await reader(`${TRADES}?since_id=${live.events[0]?.event_id}`)
    await expect.poll(() => names(all)).toEqual(['new', 'fill', 'new', 'fill'])
  })

  test('end_with_error - a comment, then the close; a resume loses nothing', async () => {
    const live = await reader(ACTIVITIES)
    await expect.poll(() => live.heard).toBe(':heartbeat\n\n')
    sandbox.control.armFault({ kind: 'end_with_error', stream: 'events', keyId: 'demo-key' })
    await buy()
    await expect.poll(() => live.ended).toBe(true)
    expect(live.heard).toBe(':heartbeat\n\n: internal server error\n\n')
    const again = await reader(`${ACTIVITIES}?since=2024-03-15`)
    await expect.poll(() => again.events.length).toBe(1)
  })
})
