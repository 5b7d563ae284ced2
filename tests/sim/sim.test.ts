import { describe, expect, test } from 'vitest'
import { openWorld } from '../scenarios/world.ts'
import { Chance } from '../scenarios/world/chance.ts'
import { coverageOf } from './coverage.ts'
import { newTrade } from './deeds/deed.ts'
import { deeds, FAULT_GROUPS } from './deeds/index.ts'
import { readFlags } from './flags.ts'
import { planted, withDefect } from './planted.ts'
import { drawSetting } from './setting.ts'
import { simulate, type SimulationResult } from './simulation.ts'
import { names, unreached } from './sometimes.ts'
import { Timeline } from './timeline.ts'

const all = new Set(FAULT_GROUPS)
/** Runs that are made with every test; `npm run sim` makes as many as one likes. */
const SEEDS = Array.from({ length: 12 }, (_, index) => 100 + index)

describe('a run', () => {
  test.each(SEEDS)('of seed %s breaks no rule', { timeout: 60_000 }, async (seed) => {
    expect((await simulate({ seed, faults: all })).violation).toBeNull()
  })

  test(
    'of the same seed has the same trace, with or without a timeline',
    { timeout: 60_000 },
    async () => {
      const timeline = new Timeline()
      const runs = [
        await simulate({ seed: 7, faults: all }),
        await simulate({ seed: 7, faults: all, timeline }),
        await simulate({ seed: 8, faults: all }),
      ]
      expect(runs[1]?.trace).toBe(runs[0]?.trace)
      expect(runs[2]?.trace).not.toBe(runs[0]?.trace)
      expect(timeline.lines.join('\n')).toMatch(
        /deed +submit[^]*-> broker\.submit[^]*trade\.submitted/,
      )
    },
  )

  test('without faults has none of them', { timeout: 60_000 }, async () => {
    const { counts, violation } = await simulate({ seed: 3, faults: new Set() })
    expect(violation).toBeNull()
    expect(Object.keys(counts).filter((name) => name.startsWith('fault '))).toEqual([])
  })
})

describe('a deed', () => {
  test('that runs later does not touch an order of another account', async () => {
    const ref = { userId: 'u1', connectionId: 'broker_1' }
    const world = await openWorld({ seed: 1, isWhole: true })
    const chance = new Chance(1)
    const sim = { world, chance, setting: { ...drawSetting(chance), accounts: [ref] }, trades: [] }
    world.submit({
      tradeId: newTrade(sim, ref, 'AAPL').tradeId,
      orderType: 'limit',
      limitPrice: '150',
    })
    await world.settle()
    expect(deeds.find(({ name }) => name === 'execute an order that has ended')?.run(sim)).toBe(
      true,
    )
    await world.disconnect('leave')
    await world.settle()
    await world.accounts.connect(ref)
    await world.advance(10_000)
    expect(world.broker.executions).toEqual([])
  })
})

describe('planted defects', () => {
  test.each(planted)('$name: its original text occurs once in the file', (defect) => {
    expect(withDefect(defect)).toContain(defect.wrong)
  })
})

describe('situations that must occur in some runs', () => {
  const [some = '', other = ''] = [...names].filter((name) => unreached[name] === undefined)
  const result = (seed: number): SimulationResult => {
    const counts = seed < 3 ? { [some]: 1 } : { [some]: 1, [other]: 5 }
    return { seed, trace: '', steps: 1, counts, violation: null }
  }

  test('are missing if fewer than three of a thousand runs have them', () => {
    const runs = Array.from({ length: 1_000 }, (_, index) => result(index % 500 === 0 ? 3 : 1))
    const { missing } = coverageOf(runs, FAULT_GROUPS)
    expect(missing).toContain(other)
    expect(missing).not.toContain(some)
  })

  test('are not judged by few runs or by runs without all faults', () => {
    expect(coverageOf([result(1)], FAULT_GROUPS).missing).toEqual([])
    const runs = Array.from({ length: 1_000 }, () => result(1))
    expect(coverageOf(runs, []).missing).toEqual([])
  })

  test('that are listed as out of reach have a reason and a known name', () => {
    for (const [name, reason] of Object.entries(unreached)) {
      expect(names).toContain(name)
      expect(reason.length).toBeGreaterThan(20)
    }
  })
})

describe('flags', () => {
  test('without any flag, a hundred seeds with all faults', () => {
    expect(readFlags([])).toMatchObject({
      seeds: 100,
      from: 0,
      faults: FAULT_GROUPS,
      trace: null,
      plant: null,
    })
    expect(readFlags(['--from', 'commit', '--faults', 'broker,store'])).toMatchObject({
      from: null,
    })
  })

  test.each([
    [['--seeds', '0'], '--seeds must be a whole number from 1'],
    [['--seeds', 'many'], '--seeds must be a whole number'],
    [['--from', '-1'], "'--from' argument is ambiguous"],
    [['--faults', 'everything'], 'there is no "everything"'],
    [['--plant', 'nothing'], 'there is no "nothing"'],
    [['--seed', '1'], "Unknown option '--seed'"],
  ])('%j fails with the reason and the usage', (args, message) => {
    expect(() => readFlags(args)).toThrow(message)
    expect(() => readFlags(args)).toThrow('Usage: npm run sim')
  })
})
