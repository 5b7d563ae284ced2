import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import type { Settings } from '#runtime'
import { relaySettings } from '../../relay/config.ts'
import { dashboardSettings } from '../../src/apps/dashboard/settings.ts'
import { readFlags } from '../../src/apps/sandbox/flags.ts'
import { workerSettings } from '../../workers/config.ts'

const root = join(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
const acl = readFileSync(join(root, 'src/deploy/redis-users.acl'), 'utf8')

const healthcheck = z.strictObject({
  test: z.array(z.string()).min(2),
  interval: z.string(),
  timeout: z.string(),
  retries: z.int(),
})
const service = z.strictObject({
  image: z.string(),
  build: z
    .strictObject({ context: z.literal('.'), args: z.record(z.string(), z.string()) })
    .optional(),
  command: z.array(z.string()).min(2),
  environment: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  ports: z.array(z.string()).default([]),
  profiles: z.array(z.string()).default([]),
  depends_on: z
    .record(z.string(), z.strictObject({ condition: z.literal('service_healthy') }))
    .default({}),
  healthcheck: healthcheck.optional(),
  stop_grace_period: z.string().optional(),
  volumes: z.array(z.string()).default([]),
  user: z.string().optional(),
  restart: z.literal('unless-stopped'),
  init: z.boolean().default(false),
  read_only: z.literal(true),
  tmpfs: z.array(z.string()),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  mem_limit: z.string().regex(/^\d+[mg]$/),
  pids_limit: z.int().max(256),
})
const services = z
  .looseObject({ services: z.record(z.string(), service) })
  .parse(parse(text, { merge: true })).services
const named = (name: string): z.output<typeof service> => {
  const found = services[name]
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`)
  return found
}

/** The entry of each service of ours, and the settings that its code reads. */
const processes: readonly (readonly [name: string, entry: string, settings: Settings])[] = [
  ['workers', 'workers/main.ts', workerSettings],
  ['relay-1', 'relay/main.ts', relaySettings],
  ['relay-2', 'relay/main.ts', relaySettings],
  ['dashboard', 'src/apps/dashboard/main.ts', dashboardSettings],
]
const ours = Object.entries(services).filter(([, { image }]) => image === 'fillcast')

/** `${NAME:-default}` as compose fills it in when the machine sets nothing. */
const unset = (value: string | number): string => String(value).replace(/\$\{\w+:-([^}]*)\}/g, '$1')

describe('docker-compose.yml', () => {
  test('starts Redis, workers, two relays, the dashboard; the sandbox on demand only', () => {
    const plain = Object.entries(services).filter(([, { profiles }]) => profiles.length === 0)
    expect(plain.map(([name]) => name).sort()).toEqual([
      'dashboard',
      'redis',
      'relay-1',
      'relay-2',
      'workers',
    ])
    expect(named('sandbox').profiles).toEqual(['demo'])
  })

  test.each(ours)(
    '%s runs an entry that exists, as the code is run everywhere',
    (_name, { command }) => {
      expect(command[0]).toBe('node')
      expect(existsSync(join(root, command[1] ?? ''))).toBe(true)
    },
  )

  test.each(processes)(
    '%s gets only settings that it reads, with values that it accepts',
    (name, entry, settings) => {
      const { command, environment } = named(name)
      expect(command).toEqual(['node', entry])
      const known = new Map(Object.values(settings).map((setting) => [setting.env, setting]))
      expect(Object.keys(environment).filter((env) => !known.has(env))).toEqual([])
      const isPassedOn = (env: string): boolean => env in environment || env === 'PROBE_PORT' // the image sets that one
      expect([...known.keys()].filter((env) => !isPassedOn(env))).toEqual([])
      for (const [env, value] of Object.entries(environment)) {
        const filled = unset(value)
        if (filled !== '')
          expect(known.get(env)?.schema.safeParse(filled).success, `${env}=${filled}`).toBe(true)
      }
    },
  )

  test('the published port is the one on which the process listens', () => {
    const inside = (name: string): string[] =>
      named(name).ports.map((port) => port.split(':').at(-1) ?? '')
    expect(inside('relay-1')).toEqual([String(named('relay-1').environment['RELAY_PORT'])])
    expect(inside('relay-2')).toEqual([String(named('relay-2').environment['RELAY_PORT'])])
    expect(inside('dashboard')).toEqual([String(named('dashboard').environment['DASHBOARD_PORT'])])
    expect(inside('workers')).toEqual([])
    expect(readFlags(named('sandbox').command.slice(2))).toMatchObject({
      port: Number(inside('sandbox')[0]),
    })
    const outside = Object.values(services).flatMap(({ ports }) =>
      ports.map((port) => port.split(':').at(-2)),
    )
    expect(new Set(outside).size).toBe(outside.length)
  })

  test('only the relays are open to other machines', () => {
    const open = Object.entries(services).filter(([, { ports }]) =>
      ports.some((port) => !port.startsWith('127.0.0.1:')),
    )
    expect(open.map(([name]) => name)).toEqual(['relay-1', 'relay-2'])
  })

  test('no secret is written down', () => {
    const secrets = /(SECRET|KEYS|KEY_ID|USERS|PASSWORD)$/
    for (const { environment } of Object.values(services)) {
      for (const [env, value] of Object.entries(environment))
        if (secrets.test(env)) expect(unset(value)).toBe('')
    }
  })

  test('every process waits for Redis, and Redis never evicts an entry', () => {
    for (const [name] of processes)
      expect(named(name).depends_on).toEqual({ redis: { condition: 'service_healthy' } })
    expect(named('redis').healthcheck?.test.join(' ')).toContain('redis-cli --user health')
    expect(named('redis').command.join(' ')).toContain('--maxmemory-policy noeviction')
    expect(named('redis').command.join(' ')).toContain('--appendonly yes')
  })

  test.each(processes)('%s is a Redis user of its own, with a password from .env', (name) => {
    const user = name.replace(/-\d$/, '')
    expect(named(name).environment['REDIS_URL']).toBe(
      `redis://${user}:\${REDIS_${user.toUpperCase()}_PASSWORD:-}@redis:6379/0`,
    )
    expect(acl).toMatch(new RegExp(`^user ${user} on >change-${user} `, 'm'))
  })

  test('Redis starts with the users of the repository and with their passwords', () => {
    const { command, environment, volumes } = named('redis')
    expect(command.slice(0, 2)).toEqual(['/deploy/start-redis.sh', '/deploy/redis-users.acl'])
    expect(volumes).toContain('./src/deploy:/deploy:ro')
    const users = [...acl.matchAll(/^user (\w+) on >/gm)].map(
      ([, user = '']) => `REDIS_${user.toUpperCase()}_PASSWORD`,
    )
    expect(Object.keys(environment).sort()).toEqual(users.sort())
  })

  test('base images have exact tags, and one is the Node of the tests', () => {
    const { devDependencies } = z
      .object({ devDependencies: z.looseObject({ node: z.string() }) })
      .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
    const node = `node:${devDependencies.node}-slim`
    expect(unset(named('redis').image)).toMatch(/^redis:\d+\.\d+\.\d+-alpine$/)
    for (const [name, { build }] of ours)
      expect(unset(build?.args['NODE_IMAGE'] ?? ''), name).toBe(node)
    expect(dockerfile).toContain(`ARG NODE_IMAGE=${node}\n`)
  })

  test('a process has longer to stop than it takes to drain', () => {
    const lifecycle = readFileSync(join(root, 'src/runtime/lifecycle.ts'), 'utf8')
    const drainMsMax = Number(/DRAIN_MS_MAX = ([\d_]+)/.exec(lifecycle)?.[1]?.replaceAll('_', ''))
    for (const [name, { stop_grace_period: grace }] of ours) {
      expect(Number(/^(\d+)s$/.exec(grace ?? '')?.[1]) * 1000, name).toBeGreaterThan(drainMsMax)
    }
  })
})

describe('Dockerfile', () => {
  const lines = dockerfile.split('\n').filter((line) => line !== '' && !line.startsWith('#'))

  test('runs as an ordinary user, in exec form, on the Node version of the tests', () => {
    const images = lines.flatMap((line) => /^FROM (\S+)/.exec(line)?.[1] ?? [])
    expect(new Set(images)).toEqual(new Set(['${NODE_IMAGE}']))
    expect(lines.indexOf('USER node')).toBeGreaterThan(
      lines.findLastIndex((line) => line.startsWith('COPY')),
    )
    expect(lines.filter((line) => line.startsWith('CMD'))).toEqual([
      'CMD ["node", "workers/main.ts"]',
    ])
  })

  test('its health check asks the probe port of the process', () => {
    expect(dockerfile).toMatch(/^ENV .*\bPROBE_PORT=\d{4}/m)
    expect(dockerfile).toMatch(/^HEALTHCHECK/m)
    expect(dockerfile).toContain('/readyz')
  })

  test('copies only the paths that .dockerignore allows', () => {
    const allowed =
      readFileSync(join(root, '.dockerignore'), 'utf8')
        .match(/^!.+$/gm)
        ?.map((line) => line.slice(1)) ?? []
    const copied = lines
      .filter((line) => line.startsWith('COPY') && !line.includes('--from'))
      .flatMap((line) => line.split(' ').slice(1, -1))
    expect([...new Set(copied)].sort()).toEqual([...allowed].sort())
    expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})
