import { expect, test } from 'vitest'
import { compare, noDifferences } from '../chaos/judge.ts'
import { storm } from '../chaos/storm.ts'

test('after cuts and kills, every client gets its user’s whole log, once and in order', async () => {
  const options = {
    users: 12,
    events: 900,
    rate: 150,
    relays: 3,
    cuts: 2,
    killEveryMs: 2_000,
    seed: 1,
  }
  const report = await storm(options)
  expect(report.differences).toEqual(noDifferences())
  expect(report.connects).toBeGreaterThan(2 * options.users)
  expect(report.relaysKilled).toBeGreaterThan(0)
  expect(report.subscriptionCuts).toBeGreaterThan(0)
}, 120_000)

test.each([
  ['nothing amiss', ['a', 'b', 'c'], {}],
  ['one lost', ['a', 'c'], { lost: 1 }],
  ['one repeated', ['a', 'b', 'b', 'c'], { repeated: 1 }],
  ['two in the wrong order', ['b', 'a', 'c'], { misplaced: 1 }],
  ['somebody else’s', ['a', 'b', 'x', 'c'], { foreign: 1 }],
])('the judge detects %s', (_name, heard, difference) => {
  const differences = noDifferences()
  compare(heard, ['a', 'b', 'c'], differences)
  expect(differences).toEqual({ ...noDifferences(), ...difference })
})
