import { describe, expect, test } from 'vitest'
import { HandshakeGate } from '../../workers/broker/handshakes.ts'
import type { StreamUrgency } from '../../workers/broker/port.ts'
import { manyStreams } from '../support/broker/many-streams.ts'
import { FakeClock } from '../support/fake-clock.ts'

describe('the gate of handshakes', () => {
  test('lets so many a second through, evenly, for any number of waiters', async () => {
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
    for (const from of atMs)
      expect(atMs.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(20)
    expect(atMs.at(-1)! - atMs[0]!).toBe(99 * 50)
  })

  test('the most urgent at their turn go first; an abandoned turn is skipped', async () => {
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

  test('a handshake at an idle gate starts at once', async () => {
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

test('a long-lived stream reconnects quickly; a stream with refused keys never does', async () => {
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
