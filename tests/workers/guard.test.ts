import { expect, test } from 'vitest'
import { clientOrderIdOf } from '#domain'
import type { RequestKind } from '#store'
import {
  type AccountBudget,
  GuardedBroker,
  HeldBackError,
  permitOf,
} from '../../workers/broker/guard.ts'
import { BrokerError } from '../../workers/broker/port.ts'
import { intentOf } from '../domain/orders.ts'
import { FakeBroker } from '../support/fake-broker.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

/** A budget without a limit that records its requests. */
function openBudget() {
  const taken: RequestKind[] = []
  const blocks: number[] = []
  let waitMs = 0
  const budget: AccountBudget = {
    take: async (kind) => {
      if (waitMs === 0) taken.push(kind)
      return waitMs
    },
    block: async (forMs) => void blocks.push(forMs),
  }
  return { budget, taken, blocks, spend: (ms: number) => void (waitMs = ms) }
}

function guarded(budget: AccountBudget = openBudget().budget) {
  const clock = new FakeClock()
  const account = new FakeBroker({ clock })
  return { clock, account, broker: new GuardedBroker(account, budget, clock) }
}

let trades = 0
const ticket = (isBudgeted = false) => {
  const intent = intentOf({ tradeId: `guard-${(trades += 1)}` })
  return { intent, clientOrderId: clientOrderIdOf(intent.userId, intent.tradeId), isBudgeted }
}

test('each request is charged to its class; a submission paid by its claim is not', async () => {
  const { budget, taken } = openBudget()
  const { broker, account } = guarded(budget)
  await broker.submit(ticket())
  await broker.submit(ticket(true))
  await broker.cancel('b-1')
  await broker.findByClientOrderId('x')
  await broker.findByBrokerOrderId('x')
  await broker.listOrders({ status: 'open' })
  await broker.readPortfolio()
  await broker.readPosition('AAPL')
  expect(taken).toEqual(['submit', 'cancel', 'resolve', 'reconcile', 'poll', 'refresh', 'submit'])
  expect(account.submissions).toHaveLength(2)
})

test('a quote is charged to the account; market data failures do not block trading', async () => {
  const { budget, taken, blocks, spend } = openBudget()
  const { broker, account } = guarded(budget)
  account.fail('readQuote', { kind: 'error_before' }, { times: 10 })
  for (let tries = 0; tries < 10; tries += 1)
    await expect(broker.readQuote('AAPL')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  account.fail('readQuote', { kind: 'rate_limit' })
  await expect(broker.readQuote('AAPL')).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  expect([taken, blocks]).toEqual([Array(11).fill('submit'), []])
  expect(await broker.submit(ticket())).toMatchObject({ kind: 'accepted' })
  spend(700)
  const held: unknown = await broker.readQuote('AAPL').catch((thrown: unknown) => thrown)
  expect(held).toBeInstanceOf(HeldBackError)
  expect(held).toMatchObject({ retryAfterMs: 700 })
})

test('a request held back by the budget is not sent, or an error with its retry time', async () => {
  const { budget, spend } = openBudget()
  const { broker, account } = guarded(budget)
  spend(700)
  const held = {
    kind: 'not_sent',
    why: 'the request budget of the account is spent',
    retryAfterMs: 700,
  }
  expect(await broker.submit(ticket())).toEqual(held)
  expect(await broker.cancel('b-1')).toEqual(held)
  const error: unknown = await broker
    .listOrders({ status: 'open' })
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 700 })
  expect(error).toBeInstanceOf(BrokerError)
  expect(account.calls).toEqual([])
})

test('a budget that cannot be read holds back every request but cancels', async () => {
  const { broker, account } = guarded({
    take: () => Promise.reject(new Error('Redis is away')),
    block: () => Promise.reject(new Error('Redis is away')),
  })
  expect(await broker.submit(ticket())).toMatchObject({ kind: 'not_sent', retryAfterMs: 1_000 })
  await expect(broker.readPortfolio()).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  account.placeElsewhere('AAPL', '1')
  expect(await broker.cancel('b-1')).toEqual({ kind: 'requested' })
  account.fail('cancel', { kind: 'rate_limit' })
  expect(await broker.cancel('b-1')).toMatchObject({ kind: 'rate_limited' }) // that the block was not heard changes nothing
})

test.each([
  ['until the broker says', 2_500, 2_500],
  ['for a while when it does not say', null, 15_000],
  ['for a minute at most', 3_600_000, 60_000],
])('429 stops all workers %s', async (_what, retryAfterMs, blockedMs) => {
  const { budget, blocks } = openBudget()
  const { broker, account } = guarded(budget)
  account.fail('submit', { kind: 'rate_limit', retryAfterMs })
  expect(await broker.submit(ticket())).toEqual({ kind: 'rate_limited', retryAfterMs })
  account.fail('read', { kind: 'rate_limit', retryAfterMs })
  await expect(broker.readAccount()).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  expect(blocks).toEqual([blockedMs, blockedMs])
})

test('budget spent within a reading of many pages - no other request is blocked', async () => {
  const { budget, blocks, spend } = openBudget()
  const clock = new FakeClock()
  const account = new FakeBroker({ clock })
  const permit = permitOf(budget)
  const first = account.readPortfolio.bind(account)
  account.readPortfolio = async () => {
    const page = await first()
    spend(43_000)
    await permit('refresh')
    return page
  }
  const broker = new GuardedBroker(account, budget, clock)
  await expect(broker.readPortfolio()).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    retryAfterMs: 43_000,
  })
  expect(blocks).toEqual([])
  spend(0)
  expect(await broker.submit(ticket())).toMatchObject({ kind: 'accepted' })
})

test('after five failures only probes are sent, with growing pauses; cancels always go', async () => {
  const { clock, broker, account } = guarded()
  account.isDown = true
  for (let tries = 0; tries < 5; tries += 1)
    expect(await broker.submit(ticket())).toMatchObject({ kind: 'unknown' })
  expect(await broker.submit(ticket())).toEqual({
    kind: 'not_sent',
    why: 'the broker is away',
    retryAfterMs: 2_000,
  })
  await expect(broker.readAccount()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    retryAfterMs: 2_000,
  })
  expect(await broker.cancel('b-1')).toMatchObject({ kind: 'unknown' })
  expect(account.calls).toHaveLength(6)
  await clock.advance(2_000)
  const [probe, other] = await Promise.all([broker.submit(ticket()), broker.submit(ticket())])
  expect([probe.kind, other.kind]).toEqual(['unknown', 'not_sent'])
  expect(await broker.submit(ticket())).toMatchObject({ kind: 'not_sent', retryAfterMs: 4_000 })
  account.isDown = false
  await clock.advance(4_000)
  expect(await broker.submit(ticket())).toMatchObject({ kind: 'accepted' })
  expect(await broker.readAccount()).toMatchObject({ canTrade: true })
})

test.each([
  ['the budget is spent', () => Promise.resolve(700)],
  ['the budget cannot be read', () => Promise.reject(new Error('Redis is away'))],
] as const)(
  'a probe that never left, since %s, is not waited for: a later call probes',
  async (_why, refuse) => {
    const open = openBudget()
    let take: AccountBudget['take'] = open.budget.take
    const { clock, broker, account } = guarded({ ...open.budget, take: (kind) => take(kind) })
    account.isDown = true
    for (let tries = 0; tries < 5; tries += 1) await broker.submit(ticket())
    account.isDown = false
    await clock.advance(2_000)
    take = refuse
    for (let tries = 0; tries < 3; tries += 1) {
      expect(await broker.submit(ticket())).toMatchObject({
        kind: 'not_sent',
        why: expect.stringContaining('budget') as string,
      })
      await expect(broker.readAccount()).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    }
    take = open.budget.take
    expect(await broker.readAccount()).toMatchObject({ canTrade: true })
    expect(await broker.submit(ticket())).toMatchObject({ kind: 'accepted' })
  },
)

test('a cancel that is held back does not end the probe under way', async () => {
  const open = openBudget()
  const { clock, broker, account } = guarded(open.budget)
  account.isDown = true
  for (let tries = 0; tries < 5; tries += 1) await broker.submit(ticket())
  account.isDown = false
  await clock.advance(2_000)
  account.fail('submit', { kind: 'delay_reply', ms: 1_000 })
  const probe = broker.submit(ticket())
  await settle()
  open.spend(700)
  expect(await broker.cancel('b-1')).toMatchObject({ kind: 'not_sent' })
  open.spend(0)
  expect(await broker.submit(ticket())).toMatchObject({
    kind: 'not_sent',
    why: 'the broker is away',
  })
  await clock.advance(1_000)
  expect(await probe).toMatchObject({ kind: 'accepted' })
})

test('a refusal is an answer: the broker does not count as down', async () => {
  const { broker, account } = guarded()
  account.fail('submit', { kind: 'refuse' }, { times: 20 })
  for (let tries = 0; tries < 20; tries += 1)
    expect(await broker.submit(ticket())).toMatchObject({ kind: 'refused' })
  account.isRevoked = true
  for (let tries = 0; tries < 20; tries += 1)
    await expect(broker.readAccount()).rejects.toMatchObject({ code: 'CREDENTIALS' })
})

test('at most eight requests run at once, six not urgent; cancels overtake the waiting', async () => {
  const { clock, broker, account } = guarded()
  account.placeElsewhere('AAPL', '1')
  account.fail('read', { kind: 'delay_reply', ms: 1_000 }, { times: 100 })
  account.fail('cancel', { kind: 'delay_reply', ms: 1_000 }, { times: 100 })
  const lists = Array.from({ length: 20 }, () => broker.listOrders({ status: 'open' }))
  await settle()
  expect(account.calls).toHaveLength(6)
  const cancels = Array.from({ length: 4 }, () => broker.cancel('b-1'))
  await settle()
  expect(account.calls.map(({ on }) => on).slice(6)).toEqual(['cancel', 'cancel'])
  await clock.advance(1_000)
  expect(account.calls.map(({ on }) => on).slice(8, 10)).toEqual(['cancel', 'cancel'])
  await clock.advance(10_000)
  expect((await Promise.all(lists)).length + (await Promise.all(cancels)).length).toBe(24)
})

test('submissions wait in the job queue: beyond a few waiting ones they are not sent', async () => {
  const { clock, broker, account } = guarded()
  account.fail('submit', { kind: 'delay_request', ms: 500 }, { times: 100 })
  const all = Promise.all(Array.from({ length: 30 }, () => broker.submit(ticket())))
  await clock.advance(10_000)
  const kinds = (await all).map(({ kind }) => kind)
  expect(kinds.filter((kind) => kind === 'accepted')).toHaveLength(22)
  expect(kinds.filter((kind) => kind === 'not_sent')).toHaveLength(8)
  expect(account.orders.size).toBe(22)
})
