import { describe, expect, test } from 'vitest'
import { FAULT_GROUPS } from './deeds/index.ts'
import { simulate } from './simulation.ts'

const all = new Set(FAULT_GROUPS)

describe('the simulation', () => {
  test.each(Array.from({ length: 10 }, (_, seed) => seed))(
    'seed %s breaks no rule',
    { timeout: 60_000 },
    async (seed) => {
      expect((await simulate({ seed, faults: all })).violation).toBeNull()
    },
  )

  test('the same seed is the same run', { timeout: 60_000 }, async () => {
    const [first, again] = [await simulate({ seed: 7, faults: all }), await simulate({ seed: 7, faults: all })]
    expect(again.trace).toBe(first.trace)
  })
})
