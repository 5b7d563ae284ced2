import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { clientEvents, serverEvents } from '#contract'
import type { Settings } from '#runtime'
import { relaySettings } from '../../relay/config.ts'
import { dashboardSettings } from '../../src/apps/dashboard/settings.ts'
import { workerSettings } from '../../workers/config.ts'
import { readSources } from '../tidy/source.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = [
  'README.md',
  'src/DECISIONS.md',
  'src/producer/README.md',
  'src/contract/README.md',
  'src/deploy/README.md',
  'src/apps/sandbox/README.md',
  'relay/README.md',
  'tests/README.md',
]
const README_BYTES_MAX = 8_192
const processes: Record<string, Settings> = {
  workers: workerSettings,
  relay: relaySettings,
  dashboard: dashboardSettings,
}

/** The table of every setting, made from the code that reads them. */
function settingsTable(): string {
  const rows = new Map<string, { users: string[]; text: string }>()
  for (const [name, settings] of Object.entries(processes)) {
    for (const { env, purpose, allowed, fallback } of Object.values(settings)) {
      const users = rows.get(env)?.users ?? []
      const shown = fallback === undefined ? '' : `\`${fallback}\``
      rows.set(env, { users: [...users, name], text: `${purpose} | ${allowed} | ${shown}` })
    }
  }
  const lines = [...rows].map(
    ([env, { users, text }]) => `| \`${env}\` | ${users.join(', ')} | ${text} |`,
  )
  return [
    '| name | read by | meaning | allowed | default |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n')
}

/** Lines of the files that no other process runs. */
function relayLines(): number {
  const files = readSources('relay', 'src/transport')
  return files.reduce((sum, { text }) => sum + text.split('\n').length - 1, 0)
}

const isUpdate = process.env['UPDATE_TABLES'] === '1'
const redisUsers = ['WORKERS', 'RELAY', 'PRODUCER', 'DASHBOARD']

describe('the pages', () => {
  test('README.md - is at most 8 kB', () => {
    expect(Buffer.byteLength(read('README.md'))).toBeLessThanOrEqual(README_BYTES_MAX)
  })

  test('settings of src/deploy - are the settings that the code reads', () => {
    const page = read('src/deploy/README.md')
    const fresh = page.replace(
      /(<!-- settings:start -->\n)[^]*?(<!-- settings:end -->)/,
      `$1\n${settingsTable()}\n\n$2`,
    )
    if (isUpdate) writeFileSync(join(root, 'src/deploy/README.md'), fresh)
    else expect(page).toBe(fresh)
  })

  test('size in relay/README.md - counts every file that the relay alone runs', () => {
    const page = read('relay/README.md')
    const fresh = page.replace(
      /\*\*[\d,]+ lines\*\*/,
      `**${relayLines().toLocaleString('en')} lines**`,
    )
    if (isUpdate) writeFileSync(join(root, 'relay/README.md'), fresh)
    else expect(page).toBe(fresh)
  })

  test.each(pages)('%s - each named file is there', (path) => {
    const named = [...read(path).matchAll(/`((?:src|workers|relay|tests)\/[\w./-]+\.\w+)`/g)]
    const missing = named
      .map((match) => match[1] ?? '')
      .filter((file) => !existsSync(join(root, file)))
    expect(missing).toEqual([])
  })

  test.each(pages)('%s - each link to a file leads somewhere', (path) => {
    const links = [...read(path).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(
      (match) => match[1] ?? '',
    )
    expect(links.filter((link) => !existsSync(join(root, dirname(path), link)))).toEqual([])
  })

  test('table of the sandbox - each named suite is there', () => {
    const page = read('src/apps/sandbox/README.md')
    const table = page.slice(
      page.indexOf('| endpoint or stream |'),
      page.indexOf('## Control commands'),
    )
    const named = table
      .split('\n')
      .flatMap((row) =>
        [...(row.split('|').at(-2) ?? '').matchAll(/`([a-z-]+)`/g)].map((match) => match[1] ?? ''),
      )
    expect(named.length).toBeGreaterThan(20)
    expect(
      named.filter((name) => !existsSync(join(root, `tests/sandbox/${name}.test.ts`))),
    ).toEqual([])
  })

  test('table of events - has every event of the contract, with a test that is there', () => {
    const rows = [
      ...read('src/contract/README.md').matchAll(
        /^\| `([a-z]+\.[A-Za-z]+)` \| .* \| `tests\/([a-z/-]+)`: (.*) \|$/gm,
      ),
    ]
    const later = ['trade.replaced', 'trade.corrected'] // shown by suites of their own
    const named = rows.map(([, event = '']) => event)
    expect([...named, ...later].sort()).toEqual(
      [...Object.keys(serverEvents), ...Object.keys(clientEvents)].sort(),
    )
    for (const [, event, suite = '', title = ''] of rows)
      expect(read(`tests/${suite}.test.ts`), event).toContain(title)
  })

  test('.env.example - names every setting, and no setting without a reader', () => {
    const example = readFileSync(join(root, '.env.example'), 'utf8')
    const named = [...example.matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1])
    const read = Object.values(processes).flatMap((settings) =>
      Object.values(settings).map(({ env }) => env),
    )
    // Read by the set-up, and by docker-compose.yml.
    const others = [
      'REDIS_SERVER_BIN',
      'REDIS_IMAGE',
      'NODE_IMAGE',
      ...redisUsers.map((user) => `REDIS_${user}_PASSWORD`),
    ]
    expect([...new Set(named)].sort()).toEqual([...new Set([...read, ...others])].sort())
  })
})
