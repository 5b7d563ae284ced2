import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Budget, type ConnectionRef, createBudget, type RequestKind } from '#store'
import { Chance } from '../scenarios/world/chance.ts'
import { FakeBudget } from '../support/fake-budget.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

const MINUTE_MS = 60_000
const START_MS = Date.UTC(2024, 2, 15, 14, 0, 0)
const KINDS: readonly RequestKind[] = [
  'cancel',
  'resolve',
  'submit',
  'poll',
  'reconcile',
  'refresh',
]

/** A time that a test moves, also back, and both budgets at it. */
function makeBudgets() {
  const time = { nowMs: START_MS }
  const nowMs = () => time.nowMs
  return {
    time,
    budgets: {
      'in memory': new FakeBudget(nowMs),
      'on Redis': createBudget(redis.connect(), nowMs),
    },
  }
}

let accounts = 0
const newAccount = (): ConnectionRef => ({
  userId: `budget-${(accounts += 1)}`,
  connectionId: 'broker_1',
})

/**
 * Sends requests at random, in bursts and pauses; returns the outcome of each request, and the
 * times of the allowed ones.
 */
async function play(seed: number, stepsBack: boolean) {
  const { time, budgets } = makeBudgets()
  const account = newAccount()
  const chance = new Chance(seed)
  const told: { fake: number; script: number }[] = []
  const made: { atMs: number; kind: RequestKind }[] = []
  for (let count = 0; count < 800; count += 1) {
    const pace = chance.fraction()
    if (pace < 0.6) time.nowMs += chance.below(400)
    else if (pace < 0.61) time.nowMs += chance.below(40_000)
    else if (pace < 0.613 && stepsBack) time.nowMs -= chance.below(3_600_000)
    const kind = chance.pick(KINDS) ?? 'poll'
    if (chance.fraction() < 0.002) {
      const forMs = chance.below(20_000)
      await Promise.all(Object.values(budgets).map((budget) => budget.block(account, forMs)))
    }
    const [fake, script] = await Promise.all(
      Object.values(budgets).map((budget) => budget.take(account, kind)),
    )
    told.push({ fake: fake ?? -1, script: script ?? -1 })
    if (script === 0) made.push({ atMs: time.nowMs, kind })
  }
  return { told, made }
}

const seeds = [1, 2, 3]

test.each(seeds)(
  'the budgets in memory and on Redis agree, also when time steps back: seed %i',
  async (seed) => {
    const { told } = await play(seed, true)
    expect(told.filter(({ fake, script }) => fake !== script)).toEqual([])
    expect(told.filter(({ script }) => script > 0).length).toBeGreaterThan(100)
  },
)

test.each(seeds)('no 60 s contain more requests than the broker allows: seed %i', async (seed) => {
  const { made } = await play(seed, false)
  const within = (fromMs: number, kind?: RequestKind) =>
    made.filter(
      (one) =>
        one.atMs >= fromMs && one.atMs < fromMs + MINUTE_MS && (kind ?? one.kind) === one.kind,
    ).length
  for (const { atMs } of made) {
    expect(within(atMs)).toBeLessThanOrEqual(200)
    expect(within(atMs, 'submit')).toBeLessThanOrEqual(150)
  }
})

describe.each(['in memory', 'on Redis'] as const)('the budget %s', (name) => {
  const make = () => {
    const { time, budgets } = makeBudgets()
    const budget: Budget = budgets[name]
    return { time, budget, account: newAccount() }
  }

  test('counts a request for more than a minute, wherever in its slice it falls', async () => {
    for (const offsetMs of [0, 1, 2_500, 4_999]) {
      const { time, budget, account } = make()
      time.nowMs = START_MS + offsetMs
      for (let count = 0; count < 200; count += 1)
        expect(await budget.take(account, 'cancel')).toBe(0)
      time.nowMs += MINUTE_MS
      expect(await budget.take(account, 'cancel')).toBeGreaterThan(0)
      time.nowMs += 5_000
      expect(await budget.take(account, 'cancel')).toBe(0)
    }
  })

  test.each([
    ['an hour', 3_600_000],
    ['twenty seconds', 20_000],
  ])('a block does not outlast its length when time steps back by %s', async (_what, byMs) => {
    const { time, budget, account } = make()
    await budget.block(account, 4_000)
    time.nowMs -= byMs
    expect(await budget.take(account, 'cancel')).toBe(4_000)
    time.nowMs += 3_000
    expect(await budget.take(account, 'cancel')).toBe(1_000)
    time.nowMs += 1_000
    expect(await budget.take(account, 'cancel')).toBe(0)
  })

  test('requests before time stepped back count for a minute, not for the whole step', async () => {
    const { time, budget, account } = make()
    for (let count = 0; count < 200; count += 1) await budget.take(account, 'cancel')
    time.nowMs -= 3_600_000
    for (const afterMs of [0, 10_000, 20_000, 30_000]) {
      time.nowMs += afterMs
      expect(await budget.take(account, 'cancel')).toBeGreaterThan(0)
    }
    time.nowMs += 5_000
    expect(await budget.take(account, 'cancel')).toBe(0)
  })

  test('blocks for a minute at most', async () => {
    const { budget, account } = make()
    await budget.block(account, 3_600_000)
    expect(await budget.take(account, 'cancel')).toBe(MINUTE_MS)
  })
})
