import { describe, expect, test } from 'vitest'
import { HandshakeGate, type StreamDown, type StreamUrgency } from '../../workers/broker/index.ts'
import { openTradeStream, type VendorStream } from '../../workers/broker/alpaca/trade-stream.ts'
import { FakeClock, fakeRandom } from '../support/fake-clock.ts'

describe('the gate of handshakes', () => {
  test('lets so many a second through, evenly, however many ask at once', async () => {
    const clock = new FakeClock()
    const gate = new HandshakeGate(clock, 20)
    const atMs: number[] = []
    for (let asked = 0; asked < 100; asked += 1)
      gate.wait(
        () => 'idle',
        () => void atMs.push(clock.monotonicMs()),
      )
    await clock.advance(10_000)
    expect(atMs).toHaveLength(100)
    for (const from of atMs) expect(atMs.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(20)
    expect(atMs.at(-1)! - atMs[0]!).toBe(99 * 50)
  })

  test('the urgent go first, by what they are when their turn comes; a turn that is given up is nobody’s', async () => {
    const clock = new FakeClock()
    const gate = new HandshakeGate(clock, 1)
    const order: string[] = []
    const urgencies: Record<string, StreamUrgency> = {
      a: 'idle',
      b: 'open_orders',
      c: 'in_flight',
      d: 'idle',
      e: 'open_orders',
    }
    const join = (name: string) =>
      gate.wait(
        () => urgencies[name] ?? 'idle',
        () => void order.push(name),
      )
    join('first')
    const leave = [...'abcde'].map(join)
    urgencies['d'] = 'in_flight'
    leave[4]?.()
    await clock.advance(10_000)
    expect(order).toEqual(['first', 'c', 'd', 'b', 'a'])
  })

  test('whoever comes to an idle gate goes at once', async () => {
    const clock = new FakeClock()
    const gate = new HandshakeGate(clock, 10)
    let runs = 0
    for (let times = 0; times < 3; times += 1) {
      gate.wait(
        () => 'idle',
        () => void (runs += 1),
      )
      expect(runs).toBe(times + 1)
      await clock.advance(1_000)
    }
  })
})

/** A vendor stream in memory: the broker lets it in, or answers its upgrade with a status. */
class FakeVendor implements VendorStream {
  readonly #answer: () => string | null
  #onError: (message: string) => void = () => {}
  #onDisconnect: () => void = () => {}
  #onSubscription: () => void = () => {}

  constructor(answer: () => string | null) {
    this.#answer = answer
  }

  connect(): void {
    queueMicrotask(() => {
      const refusal = this.#answer()
      if (refusal === null) return this.#onSubscription()
      this.#onError(refusal)
      this.#onDisconnect()
    })
  }

  cut(): void {
    this.#onDisconnect()
  }

  disconnect(): void {}
  subscribeTradeUpdates(): void {}
  onTradeUpdate(): void {}
  onDisconnect(run: () => void): void {
    this.#onDisconnect = run
  }

  onError(run: (message: string) => void): void {
    this.#onError = run
  }

  on(_event: 'subscription', run: () => void): void {
    this.#onSubscription = run
  }
}

function manyStreams(count: number) {
  const clock = new FakeClock()
  const state = { refusal: null as string | null }
  const timers = { clock, random: fakeRandom(), handshakes: new HandshakeGate(clock) }
  const streams = Array.from({ length: count }, () => {
    const seen = {
      handshakesAtMs: [] as number[],
      live: 0,
      down: [] as StreamDown[],
      vendor: null as FakeVendor | null,
    }
    const open = () => {
      seen.handshakesAtMs.push(clock.monotonicMs())
      seen.vendor = new FakeVendor(() => state.refusal)
      return seen.vendor
    }
    const listener = {
      onLive: () => void (seen.live += 1),
      onUpdate: () => {},
      onUnreadable: () => {},
      onDown: (down: StreamDown) => void seen.down.push(down),
    }
    const stream = openTradeStream(open, listener, timers)
    return { seen, stream }
  })
  return { clock, state, streams }
}

test('CON-02 reconnect storm - 500 accounts, five minutes of refusals: a capped rate, a floor for each account, all back', async () => {
  const { clock, state, streams } = manyStreams(500)
  await clock.advance(60_000)
  expect(streams.every(({ seen }) => seen.live === 1)).toBe(true)
  const cutAtMs = clock.monotonicMs()
  state.refusal = 'Unexpected server response: 429'
  for (const { seen } of streams) seen.vendor?.cut()
  await clock.advance(300_000)
  state.refusal = null
  await clock.advance(180_000)
  expect(streams.every(({ seen }) => seen.live === 2)).toBe(true)
  const after = streams.flatMap(({ seen }) => seen.handshakesAtMs.filter((at) => at >= cutAtMs)).sort((a, b) => a - b)
  for (const [index, at] of after.entries())
    expect((after[index + 20] ?? Infinity) - at).toBeGreaterThanOrEqual(1_000 - 1e-6)
  for (const { seen } of streams) {
    const own = seen.handshakesAtMs.filter((at) => at >= cutAtMs)
    for (const [index, at] of own.entries()) expect((own[index + 1] ?? Infinity) - at).toBeGreaterThanOrEqual(90_000)
    expect(seen.down.every(({ final }) => !final)).toBe(true)
  }
})

test('a stream that was up for a while comes back quickly; one that is refused for its keys never does', async () => {
  const { clock, state, streams } = manyStreams(1)
  const { seen } = streams[0]!
  await clock.advance(20_000)
  seen.vendor?.cut()
  await clock.advance(600)
  expect(seen.live).toBe(2)
  state.refusal = 'auth failed'
  seen.vendor?.cut()
  await clock.advance(600_000)
  expect(seen.down.at(-1)).toMatchObject({ kind: 'credentials', final: true })
  expect(seen.handshakesAtMs).toHaveLength(3)
})
