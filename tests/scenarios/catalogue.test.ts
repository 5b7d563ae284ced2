import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readSources, root, sourceOf } from '../tidy/source.ts'
import { notApplicable, type ScenarioId, scenarios, tableOf, testsById, waiting } from './catalogue.ts'

const ids = Object.keys(scenarios) as ScenarioId[]
const tests = testsById(readSources('tests').filter(({ path }) => path.endsWith('.test.ts')))
const page = join(root, 'tests/scenarios/README.md')
const [START, END] = ['<!-- table -->', '<!-- end -->']

describe('the catalogue of failures', () => {
  test('every id is shown by a test, or does not apply for a reason, or is known to wait for one', () => {
    const missing = ids.filter((id) => !tests.has(id) && notApplicable[id] === undefined)
    expect(missing.filter((id) => !waiting.has(id))).toEqual([])
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

  test('the table of the page names only files that show what they are named for; UPDATE_TABLES=1 writes it', () => {
    if (process.env['UPDATE_TABLES'] === '1') {
      const [before = '', rest = ''] = readFileSync(page, 'utf8').split(START)
      writeFileSync(page, `${before}${START}\n\n${tableOf(tests)}\n\n${END}${rest.split(END)[1] ?? ''}`)
    }
    const rows = readFileSync(page, 'utf8').match(/^\| [A-Z]{3}-\d\d .*$/gm) ?? []
    expect(rows.map((row) => row.slice(2, 8))).toEqual(ids)
    for (const row of rows) {
      const id = row.slice(2, 8) as ScenarioId
      const named = [...row.matchAll(/\[([^\]]+\.test\.ts)\]/g)].map(([, path]) => `tests/${path}`)
      const shown = new Set((tests.get(id) ?? []).map(({ path }) => path))
      expect(named.filter((path) => !shown.has(path))).toEqual([])
      if (named.length === 0) expect(waiting.has(id) || notApplicable[id] !== undefined, row).toBe(true)
    }
  })
})
