import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readSources, root, sourceOf } from '../tidy/source.ts'
import { notApplicable, type ScenarioId, scenarios, tableOf, testsById } from './catalogue.ts'

const ids = Object.keys(scenarios) as ScenarioId[]
const tests = testsById(readSources('tests').filter(({ path }) => path.endsWith('.test.ts')))
const page = join(root, 'tests/scenarios/README.md')
const START = '<!-- table -->'
const END = '<!-- end -->'

describe('the catalogue of failures', () => {
  test('every id has a test or a reason why it does not apply', () => {
    expect(ids.filter((id) => !tests.has(id) && notApplicable[id] === undefined)).toEqual([])
  })

  test('every id at the start of a test name is in the catalogue', () => {
    expect([...tests.keys()].filter((id) => !Object.hasOwn(scenarios, id))).toEqual([])
  })

  test('an id that does not apply has no test, and a sentence says why', () => {
    for (const [id, why] of Object.entries(notApplicable)) {
      expect(tests.get(id)).toBeUndefined()
      expect(why).toMatch(/^[A-Z].{20,}\.$/)
    }
  })

  test('ids are read only from the beginning of names of tests, suites and templates', () => {
    const text = [
      "test('SUB-01 one', () => {})",
      "describe('SUB-02, SUB-03 two', () => {})",
      "test.each([1])('SUB-04 %s', () => {})",
      'test(`SUB-05 ${name}`, () => {})',
      "test.each([['SUB-08 eight', 8]])('%s', () => {})",
      "test('as in SUB-06', () => {})",
      "expect('SUB-07 no test')",
    ].join('\n')
    const found = testsById([sourceOf('tests/planted.test.ts', text)])
    expect([...found.keys()]).toEqual([1, 2, 3, 4, 5, 8].map((number) => `SUB-0${number}`))
  })

  test('the table of the page matches the test names; UPDATE_TABLES=1 rewrites it', () => {
    const [before = '', rest = ''] = readFileSync(page, 'utf8').split(START)
    const [table = '', after = ''] = rest.split(END)
    if (process.env['UPDATE_TABLES'] === '1')
      writeFileSync(page, `${before}${START}\n\n${tableOf(tests)}\n\n${END}${after}`)
    else expect(table.trim()).toBe(tableOf(tests))
  })
})
