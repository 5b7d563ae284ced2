import { expect, test } from 'vitest'
import { clientOrderIdOf } from '#domain'
import { budgetOf, GuardedBroker } from '../../workers/broker/guard.ts'
import type { StreamUrgency } from '../../workers/broker/port.ts'
import { intentOf } from '../domain/orders.ts'
import { manyStreams } from '../support/broker/many-streams.ts'
import { FakeBroker } from '../support/fake-broker.ts'
import { FakeBudget } from '../support/fake-budget.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { openWorld } from './world.ts'

// What stands between the workers and a broker account: the budget, the breaker, the line, the gate
// of handshakes.

function guardedAccount(
  clock: FakeClock,
  budget = new FakeBudget(() => clock.now()),
  userId = 'u1',
) {
  const account = new FakeBroker({ clock })
  const broker = new GuardedBroker(
    account,
    budgetOf(budget, { userId, connectionId: 'broker_1' }),
    clock,
  )
  return { account, broker, budget }
}

let trades = 0
const ticket = () => {
  const intent = intentOf({ tradeId: `scenario-${(trades += 1)}`, quantity: null, notional: null })
  return {
    intent: { ...intent, quantity: intentOf({}).quantity },
    clientOrderId: clientOrderIdOf('u1', intent.tradeId),
  }
}

/** The most requests in any 60 s. */
const mostPerMinute = (atMs: readonly number[]): number =>
  Math.max(0, ...atMs.map((from) => atMs.filter((at) => at >= from && at < from + 60_000).length))

test('SUB-11 429 for a minute - at most one request every few seconds, then one order', async () => {
  const world = await openWorld({ seed: 11 })
  const end = world.broker.fail(
    'submit',
    { kind: 'rate_limit', retryAfterMs: 5_000 },
    { times: Infinity },
  )
  world.submit()
  await world.advance(60_000)
  expect(world.told('t1')).toEqual([])
  expect(world.broker.submissions.length).toBeGreaterThan(2)
  // The submission and the resolver may both be at it, each every five seconds; the account's block
  // holds back both.
  expect(world.broker.submissions.length).toBeLessThanOrEqual(24)
  end()
  await world.advance(20_000)
  world.fill('t1', '180')
  await world.quiesce()
  expect(world.broker.orders.size).toBe(1)
  expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
})

test('SUB-11 429 of the broker - the account sends no request until the wait is over', async () => {
  const clock = new FakeClock()
  const { account, broker } = guardedAccount(clock)
  account.fail('submit', { kind: 'rate_limit', retryAfterMs: 20_000 })
  expect(await broker.submit(ticket())).toEqual({ kind: 'rate_limited', retryAfterMs: 20_000 })
  expect(await broker.submit(ticket())).toMatchObject({ kind: 'not_sent', retryAfterMs: 20_000 })
  await expect(broker.listOrders({ status: 'open' })).rejects.toMatchObject({
    code: 'RATE_LIMITED',
  })
  await clock.advance(20_000)
  expect(await broker.submit(ticket())).toMatchObject({ kind: 'accepted' })
  expect(account.calls).toHaveLength(2)
})

test('CON-07 polling exhausts the budget - cancels leave at once, the budget is kept', async () => {
  const clock = new FakeClock()
  const { account, broker } = guardedAccount(clock)
  const resting = account.placeElsewhere('AAPL', '1').brokerOrderId
  let cancels = 0
  for (let second = 0; second < 180; second += 1) {
    const lists = Array.from({ length: 10 }, () =>
      broker.listOrders({ status: 'open' }).catch(() => null),
    )
    const submits = Array.from({ length: 5 }, () => broker.submit(ticket()))
    if (second % 10 === 9) {
      const before = account.calls.length
      const outcome = await broker.cancel(resting)
      expect(outcome.kind).not.toBe('not_sent')
      expect(account.calls.slice(before).some(({ on }) => on === 'cancel')).toBe(true)
      cancels += 1
    }
    await Promise.all([...lists, ...submits])
    await clock.advance(1_000)
  }
  expect(cancels).toBe(18)
  const atMs = account.calls.map((call) => call.atMs)
  expect(mostPerMinute(atMs)).toBeLessThanOrEqual(200)
  const most = (name: string): number =>
    mostPerMinute(account.calls.flatMap(({ on, atMs }) => (on === name ? [atMs] : [])))
  expect(most('listOrders')).toBeLessThan(80)
  expect(most('submit')).toBeGreaterThan(110)
})

test('MUL-03 one account answers in 30 s - 99 other accounts keep their latency', async () => {
  const latencies = async (slowMs: number): Promise<number[]> => {
    const clock = new FakeClock()
    const budget = new FakeBudget(() => clock.now())
    const accounts = Array.from({ length: 100 }, (_, index) =>
      guardedAccount(clock, budget, `u${index}`),
    )
    for (const [index, { account }] of accounts.entries()) {
      const ms = index === 0 ? slowMs : 50
      account.fail('submit', { kind: 'delay_reply', ms }, { times: Infinity })
      account.fail('read', { kind: 'delay_reply', ms }, { times: Infinity })
    }
    const tookMs: number[] = []
    const running = accounts.flatMap(({ broker }, index) =>
      Array.from({ length: index === 0 ? 200 : 5 }, async () => {
        const startMs = clock.now()
        await broker.submit(ticket())
        if (index > 0) tookMs.push(clock.now() - startMs)
      }),
    )
    await clock.advance(120_000)
    await Promise.all(running)
    return tookMs.sort((a, b) => a - b)
  }
  const p99 = (sorted: readonly number[]): number =>
    sorted[Math.floor(sorted.length * 0.99)] ?? Infinity
  const baseline = await latencies(50)
  const beside = await latencies(30_000)
  expect(beside).toHaveLength(495)
  expect(p99(beside)).toBeLessThanOrEqual(2 * p99(baseline))
})

test('MUL-03 one slow account - it holds at most eight connections of the process', async () => {
  const clock = new FakeClock()
  const { account, broker } = guardedAccount(clock)
  account.fail('submit', { kind: 'delay_reply', ms: 30_000 }, { times: Infinity })
  account.fail('read', { kind: 'delay_reply', ms: 30_000 }, { times: Infinity })
  const all = [
    ...Array.from({ length: 100 }, () => broker.submit(ticket())),
    ...Array.from({ length: 100 }, () => broker.findByClientOrderId('x').catch(() => null)),
  ]
  await clock.advance(1_000)
  expect(account.calls).toHaveLength(8)
  await clock.advance(600_000)
  await Promise.all(all)
})

test('CON-02 500 accounts refused for five minutes - capped rate, then all are back', async () => {
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
  const after = streams
    .flatMap(({ seen }) => seen.handshakesAtMs.filter((at) => at >= cutAtMs))
    .sort((a, b) => a - b)
  for (const [index, at] of after.entries())
    expect((after[index + 20] ?? Infinity) - at).toBeGreaterThanOrEqual(1_000 - 1e-6)
  for (const { seen } of streams) {
    const own = seen.handshakesAtMs.filter((at) => at >= cutAtMs)
    for (const [index, at] of own.entries())
      expect((own[index + 1] ?? Infinity) - at).toBeGreaterThanOrEqual(90_000)
    expect(seen.down.every(({ final }) => !final)).toBe(true)
  }
})

test('MUL-04 1,000 accounts reconnect - urgent accounts first, at a capped rate', async () => {
  const urgencyOf = (index: number): StreamUrgency =>
    index % 20 === 0 ? 'in_flight' : index % 4 === 0 ? 'open_orders' : 'idle'
  const { clock, state, streams } = manyStreams(1_000, urgencyOf)
  await clock.advance(60_000)
  expect(streams.every(({ seen }) => seen.live === 1)).toBe(true)
  state.refusal = 'connect ECONNREFUSED'
  for (const { seen } of streams) seen.vendor?.cut()
  await clock.advance(60_000)
  state.refusal = null
  const backAtMs = clock.monotonicMs()
  const backAfter = (urgency: StreamUrgency): number =>
    Math.max(
      ...streams
        .filter((_, index) => urgencyOf(index) === urgency)
        .map(
          ({ seen }) =>
            (seen.live === 2 ? (seen.handshakesAtMs.at(-1) ?? Infinity) : Infinity) - backAtMs,
        ),
    )
  await clock.advance(120_000)
  // Fifty in doubt take 2.5 s of the gate; the longest pause between two tries is 30.25 s.
  expect(backAfter('in_flight')).toBeLessThanOrEqual(30_250 + 2_550)
  expect(backAfter('open_orders')).toBeLessThanOrEqual(30_250 + 12_600)
  expect(backAfter('idle')).toBeLessThanOrEqual(30_250 + 50_100)
  const all = streams.flatMap(({ seen }) => seen.handshakesAtMs).sort((a, b) => a - b)
  for (const [index, at] of all.entries())
    expect((all[index + 20] ?? Infinity) - at).toBeGreaterThanOrEqual(1_000 - 1e-6)
})

test('MUL-04 an account after an outage - cancels and look-ups are not refused', async () => {
  const clock = new FakeClock()
  const { account, broker } = guardedAccount(clock)
  const resting = account.placeElsewhere('AAPL', '1').brokerOrderId
  account.isDown = true
  for (let tries = 0; tries < 10; tries += 1) await broker.readAccount().catch(() => null)
  expect(await broker.cancel(resting)).toMatchObject({ kind: 'unknown' })
  account.isDown = false
  expect(await broker.cancel(resting)).toEqual({ kind: 'requested' })
  expect(await broker.findByClientOrderId('elsewhere-0')).toMatchObject({ status: 'canceled' })
})
