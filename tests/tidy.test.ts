import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { cyclicImports, foldersInOrder } from './tidy/cycles.ts'
import { countsOf, lowerDebts, owed } from './tidy/debts.ts'
import { definedIds, sharedNames, unresolvedIds } from './tidy/names.ts'
import { commentBlocks, luaBlocks, pageBlocks, proseOf, testNames } from './tidy/prose.ts'
import {
  ambientTime,
  anyTypes,
  deadExports,
  forbiddenImports,
  forbiddenReach,
  idlePackages,
  markers,
  sneakedImports,
  vagueNames,
} from './tidy/rules.ts'
import {
  listSpreads,
  literalSpreads,
  longFiles,
  longFunctions,
  tupleDeclarations,
  wideComments,
} from './tidy/shape.ts'
import { readSources, root, type Source, sourceOf } from './tidy/source.ts'

const ours = readSources('src', 'workers', 'relay')
const everything = [...ours, ...readSources('tests')]
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const isUpdate = process.env['UPDATE_TABLES'] === '1'

const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(root, path)))

const ids = definedIds(
  read('src/DECISIONS.md'),
  read('tests/scenarios/README.md'),
  read('tests/scenarios/world/README.md'),
)

/** Each rule finds nothing in the house but its debts, and finds a planted violation. */
type Check = readonly [
  rule: string,
  find: (sources: readonly Source[]) => string[],
  where: readonly Source[],
  planted: Source,
]

const plant = (path: string, text: string): Source => sourceOf(path, text)
const lines = (count: number, line: string): string => `${line}\n`.repeat(count)

const checks: readonly Check[] = [
  [
    'no import against the arrows',
    forbiddenImports,
    ours,
    plant('src/domain/planted.ts', "import { z } from 'zod'"),
  ],
  [
    'the relay knows no queue',
    forbiddenImports,
    ours,
    plant('relay/planted.ts', "import { Queue } from 'bullmq'"),
  ],
  [
    'only compose.ts knows the vendor',
    forbiddenImports,
    ours,
    plant('workers/orders/planted.ts', "import {} from '../broker/alpaca/index.ts'"),
  ],
  [
    'nothing imports apps',
    forbiddenImports,
    ours,
    plant('workers/planted.ts', "import { startSandbox } from '#sandbox'"),
  ],
  [
    'one door a folder',
    sneakedImports,
    ours,
    plant('workers/orders/planted.ts', "import { applyUpdate } from '../state/write.ts'"),
  ],
  [
    'files are short',
    longFiles,
    everything,
    plant('src/domain/planted.ts', lines(401, '// one more')),
  ],
  [
    'functions are short',
    longFunctions,
    everything,
    plant('src/domain/planted.ts', `function f() {\n${lines(41, 'f()')}}`),
  ],
  ['nothing is any', anyTypes, everything, plant('src/domain/planted.ts', 'const x: ' + 'any = 1')],
  [
    'nothing is left over',
    markers,
    everything,
    plant('src/domain/planted.ts', '// TO' + 'DO: later'),
  ],
  [
    'no test is switched off',
    markers,
    everything,
    plant('tests/planted.ts', 'test.sk' + "ip('later', () => {})"),
  ],
  ['no vague names', vagueNames, everything, plant('src/lease-manager.ts', '')],
  ['every file belongs to a part', forbiddenImports, ours, plant('src/new/planted.ts', '')],
  [
    'time comes through a port',
    ambientTime,
    ours,
    plant('workers/planted.ts', 'const now = Date.now()'),
  ],
  [
    'randomness comes through a port',
    ambientTime,
    ours,
    plant('src/store/planted.ts', 'const x = Math.random()'),
  ],
  [
    'no literal is spread into a literal',
    literalSpreads,
    everything,
    plant('src/domain/planted.ts', 'const x = { ...{ a, b }, c }'),
  ],
  [
    'no list is spread into a list',
    listSpreads,
    everything,
    plant('src/domain/planted.ts', "const x = [...['a', 'b'], 'c']"),
  ],
  [
    'each variable has a declaration of its own',
    tupleDeclarations,
    everything,
    plant('src/domain/planted.ts', 'const [a, b] = [first(), second()]'),
  ],
  [
    'comments are at most 100 wide',
    wideComments,
    everything,
    plant('src/domain/planted.ts', `// ${'word '.repeat(20)}`),
  ],
  [
    'no imports in a circle',
    cyclicImports,
    everything,
    plant('src/domain/planted.ts', "import type { Planted } from './planted.ts'"),
  ],
  [
    'an exported name means one thing',
    sharedNames,
    ours,
    plant('workers/planted.ts', 'export function startWorkers(): void {}'),
  ],
  [
    'an id in a comment resolves to a document',
    unresolvedIds(ids),
    everything,
    plant('src/domain/planted.ts', '// as D' + '99 says'),
  ],
  [
    'no dead export',
    deadExports,
    everything,
    plant('workers/planted.ts', 'export const nobody' + 'WantsThis = 1'),
  ],
]

describe('the house', () => {
  test.each(checks)('%s', (rule, find, where) => {
    const findings = find(where)
    if (isUpdate) lowerDebts(rule, countsOf(findings))
    const grown = owed(rule, countsOf(findings))
    expect(
      grown.flatMap((line) => [
        line,
        ...findings.filter((text) => text.startsWith(line.split(' ')[0] ?? '')),
      ]),
    ).toEqual([])
  })
  test.each(checks)('%s - a planted violation is found', (_rule, find, where, planted) => {
    expect(find([...where, planted]).join('\n')).toContain(planted.path)
  })

  test('the relay reaches neither workers, producer, queue nor vendor, however far one follows', () => {
    const never = /^(workers\/|src\/producer|src\/apps|bullmq$|@alpacahq)/
    expect(forbiddenReach(ours, 'relay', never)).toEqual([])
    const planted = [
      plant('relay/planted.ts', "import './between.ts'"),
      plant('relay/between.ts', "import '../workers/config.ts'"),
    ]
    expect(forbiddenReach([...ours, ...planted], 'relay', never).join()).toContain(
      'relay/planted.ts -> relay/between.ts -> workers/config.ts',
    )
  })

  test('every declared package is imported somewhere', () => {
    const path = join(root, 'package.json')
    const { dependencies, devDependencies } = JSON.parse(readFileSync(path, 'utf8')) as Record<
      string,
      object
    >
    const declared = [dependencies, devDependencies].flatMap((packages) =>
      Object.keys(packages ?? {}),
    )
    const configs = ['eslint.config.js', 'vitest.config.ts'].map((name) =>
      sourceOf(name, readFileSync(join(root, name), 'utf8')),
    )
    expect(idlePackages(declared, [...everything, ...configs])).toEqual([])
    const planted = ['nobody-imports-this', '@types/nobody-imports-this']
    expect(idlePackages([...declared, ...planted], [...everything, ...configs])).toEqual(planted)
  })

  test('the domain reaches nothing but its decimal library', () => {
    const never = /^(?!src\/domain\/|big\.js$|node:crypto$)/
    expect(forbiddenReach(ours, 'src/domain', never)).toEqual([])
  })

  test('the sandbox shares no state machine with what it tests', () => {
    expect(
      forbiddenReach(
        ours,
        'src/apps/sandbox',
        /^(src\/(domain|contract|store|producer)|workers|relay)\//,
      ),
    ).toEqual([])
  })

  test('the top level holds what was agreed', () => {
    const agreed =
      /^(\.[^/]+|package(-lock)?\.json|tsconfig\.json|src|workers|relay|tests|docker-compose\.yml|Dockerfile|README\.md|LICENSE|[^/]+\.config\.(js|ts))$/
    const top = new Set(tracked.map((path) => path.split('/')[0] ?? ''))
    expect([...top].filter((name) => !agreed.test(name))).toEqual([])
  })

  test('no file carries a path of the machine that it was written on', () => {
    // A folder right below the root could be any word: such a clone cannot be checked.
    const machine = [dirname(root), homedir()]
      .filter((path) => path !== '/')
      .map((path) => `${path}/`)
    const carriesIn = (text: string): string[] => machine.filter((path) => text.includes(path))
    const files = tracked.filter((path) => path !== 'package-lock.json')
    expect(
      files.filter((path) => carriesIn(readFileSync(join(root, path), 'utf8')).length > 0),
    ).toEqual([])
    expect(carriesIn(`see ${homedir()}/notes`)).toContain(`${homedir()}/`)
  })
})

describe('the debts of a rule', () => {
  test('a file with a finding more than the list allows is reported', () => {
    expect(owed('planted', { 'a.ts': 2 }, { 'a.ts': 1 })).toEqual(['a.ts has 2, allowed are 1'])
  })

  test('a list that still allows a mended finding is reported', () => {
    expect(owed('planted', {}, { 'a.ts': 1 })).toEqual([
      'a.ts has only 0 of 1: lower the list with UPDATE_TABLES=1',
    ])
  })

  test('findings are counted by the file that they begin with', () => {
    expect(countsOf(['a.ts:3 has', 'a.ts:9 has', 'b.ts exports c'])).toEqual({
      'a.ts': 2,
      'b.ts': 1,
    })
  })
})

/**
 * An area of prose, its blocks, and the most of its sentences that may be hard to read, in percent.
 */
type Area = readonly [name: string, blocks: readonly string[], percentMax: number]

const below = (part: string): readonly Source[] => ours.filter(({ path }) => path.startsWith(part))
const scripts = tracked.filter((path) => path.endsWith('.lua')).map(read)
const pages = tracked.filter((path) => path.endsWith('.md')).map(read)
const areas: readonly Area[] = [
  ['src', [...below('src/').flatMap(commentBlocks), ...scripts.flatMap(luaBlocks)], 4],
  ['workers', below('workers/').flatMap(commentBlocks), 4],
  ['relay', below('relay/').flatMap(commentBlocks), 4],
  ['src/producer', below('src/producer/').flatMap(commentBlocks), 1],
  ['src/contract', below('src/contract/').flatMap(commentBlocks), 1],
  ['pages', pages.flatMap(pageBlocks), 4],
  ['test names', everything.flatMap(testNames), 4],
]

describe('the prose', () => {
  test.each(areas)('%s - hard sentences are few', (name, blocks, percentMax) => {
    const rule = `the prose of ${name}`
    const { sentences, hard } = proseOf(blocks)
    const counts = hard.length * 100 > sentences * percentMax ? { [name]: hard.length } : {}
    if (isUpdate) lowerDebts(rule, counts)
    expect(owed(rule, counts)).toEqual([])
  })

  test('a sentence on a what-clause is hard, a plain sentence is not', () => {
    const plain = 'The worker reads the list of open orders.'
    const hard = 'The worker keeps what it has read.'
    expect(proseOf([`${plain} ${hard}`])).toEqual({ sentences: 2, hard: [hard] })
  })
})

test('the folders in the order of their imports, the ones that import nothing first', () => {
  const order = foldersInOrder(ours)
  if (isUpdate) console.info(order.join('\n'))
  expect(order.indexOf('src/domain')).toBeLessThan(order.indexOf('src/contract'))
})
