import ts from 'typescript'
import { exportedNames } from './names.ts'
import { importsIn, importsOf, packageOf, type Source } from './source.ts'
import { findNodes, lineOf } from './tree.ts'

// The house rules as functions from sources to findings, so that each can be shown a violation.

/**
 * A part of the house and what it may import; parts are told apart by the longest matching path.
 */
type Part = Readonly<{ path: string; parts: readonly string[]; packages: readonly string[] }>

const STORE = ['src/domain', 'src/contract', 'src/runtime', 'src/store']
const parts: readonly Part[] = [
  { path: 'src/domain', parts: [], packages: ['big.js'] },
  { path: 'src/contract', parts: ['src/domain'], packages: ['zod'] },
  { path: 'src/runtime', parts: [], packages: ['pino', 'prom-client', 'ioredis', 'zod'] },
  {
    path: 'src/store',
    parts: STORE.slice(0, 3),
    packages: ['ioredis', 'jose', '@socket.io/redis-emitter', 'rate-limiter-flexible'],
  },
  { path: 'src/producer', parts: STORE, packages: ['bullmq', 'ioredis', 'zod'] },
  {
    path: 'src/auth',
    parts: ['src/domain', 'src/contract', 'src/runtime'],
    packages: ['jose', 'zod'],
  },
  { path: 'src/transport', parts: STORE, packages: ['proxy-addr', 'socket.io'] },
  { path: 'src/setup', parts: [], packages: [] },
  {
    path: 'workers/broker/alpaca',
    parts: [...STORE, 'workers'],
    packages: ['@alpacahq/alpaca-trade-api', 'undici', 'ws', 'zod'],
  },
  {
    path: 'workers',
    parts: [...STORE, 'workers/broker/alpaca'],
    packages: ['bullmq', 'ioredis', 'zod'],
  },
  {
    path: 'relay',
    parts: [...STORE, 'src/auth', 'src/transport'],
    packages: ['socket.io', '@socket.io/redis-adapter', 'ioredis', 'zod'],
  },
  {
    path: 'src/apps/sandbox',
    parts: ['src/runtime'],
    packages: ['big.js', 'ws', '@msgpack/msgpack', 'zod'],
  },
  {
    path: 'src/apps/dashboard',
    parts: [...STORE, 'src/auth', 'src/producer'],
    packages: [
      '@bull-board/api',
      '@bull-board/hono',
      '@hono/node-server',
      'bullmq',
      'hono',
      'ioredis',
      'jose',
      'zod',
    ],
  },
  {
    path: 'src/apps/demo',
    parts: [
      ...STORE,
      'src/auth',
      'src/producer',
      'src/setup',
      'src/apps/dashboard',
      'src/apps/sandbox',
    ],
    packages: ['@hono/node-server', 'hono', 'ioredis', 'jose', 'socket.io-client', 'zod'],
  },
]

const partOf = (path: string): Part | undefined =>
  parts
    .filter((part) => path.startsWith(`${part.path}/`))
    .sort((a, b) => b.path.length - a.path.length)[0]

/** Only these files may reach the vendor's adapter: the place where the parts are put together. */
const COMPOSES = new Set(['workers/compose.ts'])

/** Imports that cross parts without being allowed to, directly or through others. */
export function forbiddenImports(sources: readonly Source[]): string[] {
  const graph = new Map(sources.map((source) => [source.path, importsOf(source)]))
  return sources.flatMap(({ path }) => {
    const from = partOf(path)
    if (from === undefined) return [`${path} belongs to no part: say what it may import`]
    return (graph.get(path) ?? []).flatMap((name) => {
      if (name.startsWith('node:')) return []
      const to = partOf(name)
      if (to === undefined)
        return from.packages.includes(packageOf(name)) ? [] : [`${path} imports ${name}`]
      if (to === from) return []
      const isComposed = to.path !== 'workers/broker/alpaca' || COMPOSES.has(path)
      return from.parts.includes(to.path) && isComposed ? [] : [`${path} imports ${name}`]
    })
  })
}

/** Packages that a tool or a command needs by its name, so that no file imports them, and why. */
const usedByName: Readonly<Record<string, string>> = {
  node: 'runs everything (src/setup)',
  prettier: 'npm run format and npm run lint',
  eslint: 'npm run format and npm run lint',
  '@types/node': 'what Node itself has',
}

/** Declared packages that no file imports; the types of a package count with the package. */
export function idlePackages(declared: readonly string[], sources: readonly Source[]): string[] {
  const imported = new Set(sources.flatMap((source) => importsOf(source).map(packageOf)))
  return declared.filter(
    (name) => !imported.has(name.replace(/^@types\//, '')) && !Object.hasOwn(usedByName, name),
  )
}

/**
 * What a part reaches through any number of imports that it must never reach, with the way there.
 */
export function forbiddenReach(sources: readonly Source[], start: string, never: RegExp): string[] {
  const graph = new Map(sources.map((source) => [source.path, importsOf(source)]))
  const findings: string[] = []
  const seen = new Set<string>()
  const walk = (path: string, way: string): void => {
    for (const name of graph.get(path) ?? []) {
      if (never.test(name)) findings.push(`${way} -> ${name}`)
      if (seen.has(name)) continue
      seen.add(name)
      walk(name, `${way} -> ${name}`)
    }
  }
  for (const { path } of sources) if (path.startsWith(`${start}/`)) walk(path, path)
  return findings
}

/**
 * Imports into another folder past its door. Inside its own folder a file may import what it likes.
 */
export function sneakedImports(sources: readonly Source[]): string[] {
  const paths = new Set(sources.map(({ path }) => path))
  const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))
  return sources.flatMap((source) =>
    importsOf(source).flatMap((name) => {
      const isOurs = /^(src|workers|relay)\//.test(name)
      const from = folderOf(source.path)
      const to = folderOf(name)
      if (!isOurs || from === to || from.startsWith(`${to}/`) || name.endsWith('/index.ts'))
        return []
      const hasDoor = paths.has(`${to}/index.ts`)
      return hasDoor ? [`${source.path} imports ${name}, not ${to}/index.ts`] : []
    }),
  )
}

export const anyTypes = (sources: readonly Source[]): string[] =>
  findNodes(sources, (node, { path }) =>
    node.kind === ts.SyntaxKind.AnyKeyword ? `${path}:${lineOf(node)} says any` : null,
  )

const MARKERS = new RegExp(
  `\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b|\\.(skip|only|todo)[.(]`,
)
export const markers = (sources: readonly Source[]): string[] =>
  sources.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        MARKERS.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : [],
      ),
  )

export const vagueNames = (sources: readonly Source[]): string[] =>
  sources
    .map(({ path }) => path)
    .filter((path) => /(^|[/-])(utils?|helpers?|common|misc|manager)(?=[-./])/i.test(path))

/** Where time and randomness come in; everywhere else they come through a port. */
const CLOCKS = new Set(['src/runtime/clock.ts', 'src/runtime/random.ts', 'src/runtime/logger.ts'])
const AMBIENT = new RegExp(
  [
    /\b(Date\.now|Math\.random|performance\.now|process\.hrtime(\.bigint)?)\s*\(/,
    /\b(setTimeout|setInterval|setImmediate|randomUUID|randomBytes|randomInt|getRandomValues)\s*\(/,
    /new Date\(\)/,
    /from 'node:timers/,
  ]
    .map(({ source }) => source)
    .join('|'),
)

export const ambientTime = (sources: readonly Source[]): string[] =>
  sources
    .filter(
      ({ path }) =>
        /^(src\/(domain|contract|store|runtime|producer|auth|transport)|workers|relay)\//.test(
          path,
        ) && !CLOCKS.has(path),
    )
    .flatMap(({ path, text }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          AMBIENT.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : [],
        ),
    )

/**
 * Exported values that no other file imports. What a door exports is for everybody, and a type may
 * be needed only to spell the signature of something else.
 */
export function deadExports(sources: readonly Source[]): string[] {
  const taken = new Map<string, Set<string>>()
  const takenWhole = new Set<string>()
  for (const source of sources) {
    for (const { from, names } of importsIn(source)) {
      if (names === null) takenWhole.add(from)
      else taken.set(from, new Set([...(taken.get(from) ?? []), ...names]))
    }
  }
  return sources
    .filter(({ path }) => !path.endsWith('/index.ts') && !takenWhole.has(path))
    .flatMap((source) =>
      exportedNames(source)
        .filter(({ isType }) => !isType)
        .map(({ name }) => name)
        .filter((name) => taken.get(source.path)?.has(name) !== true)
        .map((name) => `${source.path} exports ${name}, which nobody imports`),
    )
}
