import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { clientEvents, serverEvents } from '#contract'
import type { Settings } from '#runtime'
import { relaySettings } from '../../relay/config.ts'
import { dashboardSettings } from '../../src/apps/dashboard/settings.ts'
import { workerSettings } from '../../workers/config.ts'

const root = join(import.meta.dirname, '../..')
const path = join(root, 'README.md')
const readme = readFileSync(path, 'utf8')
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

const redisUsers = ['WORKERS', 'RELAY', 'PRODUCER', 'DASHBOARD']

describe('README', () => {
  test('its table of settings is the one that the code reads (UPDATE_README=1 writes it)', () => {
    const fresh = readme.replace(
      /(<!-- settings:start -->\n)[^]*?(<!-- settings:end -->)/,
      `$1\n${settingsTable()}\n\n$2`,
    )
    if (process.env['UPDATE_README'] === '1') writeFileSync(path, fresh)
    else expect(readme).toBe(fresh)
  })

  test('every file that it names is there', () => {
    const named = [...readme.matchAll(/`((?:src|workers|relay)\/[\w./-]+)`/g)].map(
      (match) => match[1] ?? '',
    )
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  test('every suite that the table of the sandbox names is there', () => {
    const table = readme.slice(
      readme.indexOf('| endpoint or stream |'),
      readme.indexOf('Commands to it live'),
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

  test('its table of events has every event of the contract, with a test that is there', () => {
    const rows = [
      ...readme.matchAll(/^\| `([a-z]+\.[A-Za-z]+)` \| .* \| `tests\/([a-z/-]+)`: (.*) \|$/gm),
    ]
    const later = ['trade.replaced', 'trade.corrected'] // told of by suites of their own
    const named = rows.map(([, event = '']) => event)
    expect([...named, ...later].sort()).toEqual(
      [...Object.keys(serverEvents), ...Object.keys(clientEvents)].sort(),
    )
    for (const [, event, suite = '', title = ''] of rows)
      expect(readFileSync(join(root, `tests/${suite}.test.ts`), 'utf8'), event).toContain(title)
  })

  test('.env.example names every setting, and nothing that nobody reads', () => {
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
