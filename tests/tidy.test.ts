import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  ambientTime,
  anyTypes,
  deadExports,
  forbiddenImports,
  forbiddenReach,
  idlePackages,
  longFiles,
  longFunctions,
  markers,
  sneakedImports,
  vagueNames,
} from './tidy/rules.ts'
import { readSources, root, type Source, sourceOf } from './tidy/source.ts'

const ours = readSources('src', 'workers', 'relay')
const everything = [...ours, ...readSources('tests')]

/** Each rule finds nothing in the house, and finds what is planted. */
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
    plant('workers/orders/planted.ts', "import { apply } from '../updates/apply.ts'"),
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
    plant('src/domain/planted.ts', `function f() {\n${lines(70, 'f()')}}`),
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
    'no dead export',
    deadExports,
    everything,
    plant('workers/planted.ts', 'export const nobody' + 'WantsThis = 1'),
  ],
]

describe('the house', () => {
  test.each(checks)('%s', (_rule, find, where) => expect(find(where)).toEqual([]))
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

  const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  }).split('\n')

  test('the top level holds what was agreed', () => {
    const agreed =
      /^(\.[^/]+|package(-lock)?\.json|tsconfig\.json|src|workers|relay|tests|docker-compose\.yml|Dockerfile|README\.md|LICENSE|[^/]+\.config\.(js|ts))$/
    const top = new Set(
      tracked.filter((path) => path !== '').map((path) => path.split('/')[0] ?? ''),
    )
    expect([...top].filter((name) => !agreed.test(name))).toEqual([])
  })

  test('no file carries a path of the machine that it was written on', () => {
    // A folder right below the root could be any word: such a clone cannot be checked.
    const machine = [dirname(root), homedir()]
      .filter((path) => path !== '/')
      .map((path) => `${path}/`)
    const carriesIn = (text: string): string[] => machine.filter((path) => text.includes(path))
    const files = tracked.filter(
      (path) => path !== '' && path !== 'package-lock.json' && existsSync(join(root, path)),
    )
    expect(
      files.filter((path) => carriesIn(readFileSync(join(root, path), 'utf8')).length > 0),
    ).toEqual([])
    expect(carriesIn(`see ${homedir()}/notes`)).toContain(`${homedir()}/`)
  })
})
