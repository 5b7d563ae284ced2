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
  test('every id is shown by a test, or does not apply for a reason', () => {
    expect(ids.filter((id) => !tests.has(id) && notApplicable[id] === undefined)).toEqual([])
  })

  test('no test begins with an id that the catalogue does not know', () => {
    expect([...tests.keys()].filter((id) => !Object.hasOwn(scenarios, id))).toEqual([])
  })

  test('what does not apply has no test, and says why in a sentence', () => {
    for (const [id, why] of Object.entries(notApplicable)) {
      expect(tests.get(id)).toBeUndefined()
      expect(why).toMatch(/^[A-Z].{20,}\.$/)
    }
  })

  test('names are read from tests, suites and templates, and only from their beginning', () => {
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

  test('the table of the page is made from the names of the tests; UPDATE_TABLES=1 writes it', () => {
    const [before = '', rest = ''] = readFileSync(page, 'utf8').split(START)
    const [table = '', after = ''] = rest.split(END)
    if (process.env['UPDATE_TABLES'] === '1')
      writeFileSync(page, `${before}${START}\n\n${tableOf(tests)}\n\n${END}${after}`)
    else expect(table.trim()).toBe(tableOf(tests))
  })
})
