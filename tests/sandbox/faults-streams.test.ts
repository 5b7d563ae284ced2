import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Fault, type Sandbox, startSandbox } from '#sandbox'
import { officialSdk } from './official-sdk.ts'
import { Wire } from './wire.ts'

/** Each fault of a stream, as the official SDK sees it. */

let sandbox: Sandbox
const open: { disconnect(): void }[] = []

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'stream faults',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
})

afterEach(async () => {
  open.splice(0).forEach((stream) => stream.disconnect())
  await sandbox.close()
})

const quick = { initialReconnectMs: 20, reconnectJitter: 0 } as const

/** A connected trade stream and everything it says. */
function tradeStream() {
  const heard = {
    updates: [] as string[],
    errors: [] as string[],
    states: [] as string[],
    listens: 0,
  }
  const stream = officialSdk(sandbox).trading.stream({ url: `${sandbox.wsUrl}/stream`, ...quick })
  open.push(stream)
  stream.onTradeUpdate(
    ({ event, order }) => void heard.updates.push(`${event} ${order.clientOrderId ?? ''}`),
  )
  stream.onError((error) => void heard.errors.push(error))
  stream.on('state_change', (state) => void heard.states.push(state))
  stream.on('subscription', () => (heard.listens += 1))
  stream.subscribeTradeUpdates()
  stream.connect()
  return heard
}

function dataStream() {
  const heard = { bids: [] as number[], errors: [] as string[], states: [] as string[], listens: 0 }
  const stream = officialSdk(sandbox).marketData.stockStream({
    feed: 'iex',
    url: `${sandbox.wsUrl}/v2/iex`,
    ...quick,
  })
  open.push(stream)
  stream.onQuote((quote) => void heard.bids.push(quote.bidPrice))
  stream.onError((error) => void heard.errors.push(error))
  stream.on('state_change', (state) => void heard.states.push(state))
  stream.on('subscription', () => (heard.listens += 1))
  stream.subscribeForQuotes(['AAPL'])
  stream.connect()
  return heard
}

const buy = (clientOrderId: string): Promise<unknown> =>
  officialSdk(sandbox).trading.orders.postOrder({
    postOrderRequest: {
      symbol: 'AAPL',
      qty: '1',
      side: 'buy',
      type: 'market',
      timeInForce: 'day',
      clientOrderId,
    },
  })
const filled = (): number =>
  sandbox.control.ledger('demo-key').accounts['demo-key']?.executions.length ?? 0
const quote = (bid: string): void => sandbox.control.setPrice('AAPL', { bid, ask: '200' })

describe('events of the trade stream', () => {
  test.each<[fault: Fault, updates: string[]]>([
    [{ kind: 'lose_events', nth: 2 }, ['new a', 'new b', 'fill b']],
    [{ kind: 'lose_events', count: 3 }, ['fill b']],
    [{ kind: 'duplicate_events', nth: 2 }, ['new a', 'fill a', 'fill a', 'new b', 'fill b']],
    [{ kind: 'reorder_events' }, ['fill a', 'new a', 'new b', 'fill b']],
    [{ kind: 'reorder_events', count: 4 }, ['fill b', 'new b', 'fill a', 'new a']],
    [{ kind: 'text_frames', count: 4 }, ['new a', 'fill a', 'new b', 'fill b']],
  ])('%o', async (fault, updates) => {
    const heard = tradeStream()
    await expect.poll(() => heard.listens).toBe(1)
    sandbox.control.armFault({ ...fault, keyId: 'demo-key' })
    await buy('a')
    await expect.poll(filled).toBe(1)
    await buy('b')
    await expect.poll(() => heard.updates).toEqual(updates)
    expect(heard.errors).toEqual([])
  })

  test('events held for reordering are sent when the fault is disarmed', async () => {
    const heard = tradeStream()
    await expect.poll(() => heard.listens).toBe(1)
    sandbox.control.armFault({ kind: 'reorder_events', count: 9 })
    await buy('a')
    await expect.poll(filled).toBe(1)
    sandbox.control.disarmFaults()
    await expect.poll(() => heard.updates).toEqual(['fill a', 'new a'])
  })

  test('a closed stream has lost the event for good, and reconnects by itself', async () => {
    const heard = tradeStream()
    await expect.poll(() => heard.listens).toBe(1)
    sandbox.control.armFault({ kind: 'close_stream', nth: 2 })
    await buy('a')
    await expect.poll(() => heard.listens).toBe(2)
    expect(heard.states).toContain('waiting to reconnect')
    await buy('b')
    await expect.poll(() => heard.updates).toEqual(['new a', 'new b', 'fill b'])
  })

  test('a mute stream stays up and sends nothing until it is opened again', async () => {
    const heard = tradeStream()
    await expect.poll(() => heard.listens).toBe(1)
    sandbox.control.armFault({ kind: 'mute_stream' })
    await buy('a')
    await expect.poll(filled).toBe(1)
    expect([heard.updates, heard.states.at(-1)]).toEqual([[], 'authenticated'])
    sandbox.control.cutStreams()
    await expect.poll(() => heard.listens).toBe(2)
    await buy('b')
    await expect.poll(() => heard.updates).toEqual(['new b', 'fill b'])
  })

  test('text frames are text on the wire', async () => {
    const wire = await new Wire(`${sandbox.wsUrl}/stream`).opened()
    wire.send({ action: 'auth', key: 'demo-key', secret: 'demo-secret' })
    wire.send({ action: 'listen', data: { streams: ['trade_updates'] } })
    await expect.poll(() => wire.frames.length).toBe(2)
    sandbox.control.armFault({ kind: 'text_frames' })
    await buy('a')
    await expect
      .poll(() => wire.frames.map(({ binary }) => binary))
      .toEqual([true, true, false, true])
    wire.socket.terminate()
  })
})

describe('connecting', () => {
  test('a refused upgrade is an error with the status, and is tried again', async () => {
    sandbox.control.armFault({ kind: 'refuse_upgrade', stream: 'trade', count: 2 })
    const heard = tradeStream()
    await expect.poll(() => heard.listens).toBe(1)
    expect(heard.errors).toEqual(Array(2).fill('Unexpected server response: 429'))
  })

  test('a rejected authentication on reconnect ends the trade stream for good', async () => {
    const heard = tradeStream()
    await expect.poll(() => heard.listens).toBe(1)
    sandbox.control.armFault({ kind: 'reject_auth', stream: 'trade' })
    sandbox.control.cutStreams()
    await expect.poll(() => heard.states.at(-1)).toBe('disconnected')
    expect(heard.errors).toContain('auth failed')
    await expect.poll(() => sandbox.control.streams().trade).toBe(0)
  })

  test('a rejected authentication ends the data stream for good', async () => {
    sandbox.control.armFault({ kind: 'reject_auth', stream: 'data' })
    const heard = dataStream()
    await expect.poll(() => heard.states.at(-1)).toBe('disconnected')
    expect(heard.errors).toEqual(['auth failed'])
  })

  test('a second data connection gets 406, and the first one continues', async () => {
    const first = dataStream()
    await expect.poll(() => first.listens).toBe(1)
    sandbox.control.armFault({ kind: 'connection_limit' })
    const second = dataStream()
    await expect.poll(() => second.errors).toEqual(['connection limit exceeded'])
    expect(second.states).not.toContain('authenticated')
    quote('190.01')
    await expect.poll(() => first.bids).toEqual([190.01])
  })

  test('refuse_upgrade takes no account', () => {
    expect(() => sandbox.control.armFault({ kind: 'refuse_upgrade', keyId: 'demo-key' })).toThrow(
      'knows no account',
    )
  })
})

describe('events of a data stream', () => {
  test.each<[fault: Fault, bids: number[]]>([
    [{ kind: 'lose_events' }, [191, 192]],
    [{ kind: 'duplicate_events' }, [190, 190, 191, 192]],
    [{ kind: 'reorder_events', count: 3 }, [192, 191, 190]],
  ])('%o', async (fault, bids) => {
    const heard = dataStream()
    await expect.poll(() => heard.listens).toBe(1)
    sandbox.control.armFault({ ...fault, stream: 'data' })
    for (const bid of ['190', '191', '192']) quote(bid)
    await expect.poll(() => heard.bids).toEqual(bids)
  })

  test('a text frame among MessagePack is a decode error, and the stream continues', async () => {
    const heard = dataStream()
    await expect.poll(() => heard.listens).toBe(1)
    sandbox.control.armFault({ kind: 'text_frames', stream: 'data' })
    quote('190')
    quote('191')
    await expect.poll(() => heard.bids).toEqual([191])
    expect(heard.errors).toHaveLength(1)
  })
})

test('stream events fail by chance, and in the same way for the same fault seed', async () => {
  const run = async (faultSeed: string): Promise<string[]> => {
    await using server = await startSandbox({ faultSeed, faultShare: 0.25, tickMs: 0 })
    const wire = await new Wire(`${server.wsUrl}/v2/iex`).opened()
    wire.send({ action: 'auth', key: 'demo-key', secret: 'demo-secret' })
    wire.send({ action: 'subscribe', quotes: ['AAPL'] })
    await expect.poll(() => wire.frames.length).toBe(3)
    for (let cents = 10; cents < 40; cents += 1)
      server.control.setPrice('AAPL', { bid: `190.${cents}`, ask: '200' })
    await wire.closed()
    return wire.frames.slice(3).map(({ data }) => data.toString().slice(0, 60))
  }
  const first = await run('e')
  const again = await run('e')
  expect(again).toEqual(first)
  expect(first).not.toHaveLength(0)
})
