import { HandshakeGate } from '../../../workers/broker/handshakes.ts'
import type { StreamDown, StreamUrgency } from '../../../workers/broker/port.ts'
import { openTradeStream, type VendorStream } from '../../../workers/broker/alpaca/trade-stream.ts'
import { FakeClock, fakeRandom } from '../fake-clock.ts'

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

/** The trade streams of many accounts in one process, and the broker that lets them in or not. */
export function manyStreams(
  count: number,
  urgencyOf: (index: number) => StreamUrgency = () => 'idle',
) {
  const clock = new FakeClock()
  const state = { refusal: null as string | null }
  const timers = { clock, random: fakeRandom(), handshakes: new HandshakeGate(clock) }
  const streams = Array.from({ length: count }, (_, index) => {
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
    const stream = openTradeStream(open, listener, timers, () => urgencyOf(index))
    return { seen, stream }
  })
  return { clock, state, streams }
}
