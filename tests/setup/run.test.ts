import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

// The real set-up in a project of its own, with an npm that only writes down that it was called.

const setup = join(import.meta.dirname, '../../src/setup')
const { scripts } = JSON.parse(readFileSync(join(setup, '../../package.json'), 'utf8')) as {
  scripts: Record<string, string>
}
let project: string
const running = new Set<ChildProcess>()

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'fillcast-setup-'))
  cpSync(setup, join(project, 'src/setup'), { recursive: true })
  mkdirSync(join(project, 'bin'))
  writeFileSync(join(project, 'package-lock.json'), '{}')
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  writeFileSync(
    join(project, 'bin/npm'),
    `#!/bin/sh
echo "$*" >>calls
mkdir -p node_modules/node/bin
ln -sf '${process.execPath}' node_modules/node/bin/node
`,
  )
  chmodSync(join(project, 'bin/npm'), 0o755)
})

afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  running.clear()
  rmSync(project, { recursive: true, force: true, maxRetries: 5 })
})

/** As if npm had been here before. */
function installed(): void {
  mkdirSync(join(project, 'node_modules/node/bin'), { recursive: true })
  symlinkSync(process.execPath, join(project, 'node_modules/node/bin/node'))
  const hash = execFileSync('sha256sum', [join(project, 'package-lock.json')], {
    encoding: 'utf8',
  }).slice(0, 64)
  writeFileSync(join(project, 'node_modules/.fillcast-lock'), hash)
}

type Start = { env?: Record<string, string>; entry?: string; via?: 'sh' }

/** Starts the set-up with an entry of this source; `via` a shell that waits for it, as npm does. */
function run(source: string, { env = {}, entry = 'entry.mjs', via }: Start = {}) {
  mkdirSync(join(project, entry, '..'), { recursive: true })
  writeFileSync(join(project, entry), source)
  const command = [process.execPath, 'src/setup/run.mjs', entry, 'one', 'two words']
  const [program = '', ...args] =
    via === 'sh' ? ['/bin/sh', '-c', '"$@"; exit $?', 'sh', ...command] : command
  const child = spawn(program, args, {
    cwd: project,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: `${join(project, 'bin')}:/usr/bin:/bin`, ...env },
    detached: true,
  })
  running.add(child)
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  return {
    child,
    pid: child.pid ?? 0,
    ended,
    stdout: text(child.stdout),
    stderr: text(child.stderr),
  }
}

const read = (name: string): string =>
  existsSync(join(project, name)) ? readFileSync(join(project, name), 'utf8') : ''
const written = (name: string, wanted: string): Promise<void> =>
  expect.poll(() => read(name), { timeout: 10_000 }).toBe(wanted)

/**
 * Writes down each signal, in a line of its own, and ends a moment after the first, as something
 * that drains does.
 */
const DRAINS = `import { appendFileSync } from 'node:fs'
let ending
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    appendFileSync('signals', signal + ' ')
    ending ??= setTimeout(() => process.exit(3), 300)
  })
setInterval(() => {}, 1000)
appendFileSync('ready', 'yes')`

describe('before the entry', () => {
  test('packages are installed at first and when the lock file changes, else skipped', async () => {
    const first = run('')
    expect(await first.ended).toEqual([0, null])
    expect(await first.stderr).toBe(
      'set-up: Installing the packages of package-lock.json into node_modules ...\n',
    )
    const again = run('')
    expect(await again.ended).toEqual([0, null])
    expect(await again.stderr).toBe('')
    writeFileSync(join(project, 'package-lock.json'), '{"changed":true}')
    await run('').ended
    expect(read('calls').split('\n').filter(Boolean)).toHaveLength(2)
    expect(read('calls')).toContain('ci --include=dev')
  })

  test('packages that npm has installed otherwise are not installed again', async () => {
    const packages = { 'node_modules/one': { version: '1.0.0', integrity: 'sha512-a' } }
    installed()
    writeFileSync(join(project, 'package-lock.json'), JSON.stringify({ packages }))
    writeFileSync(join(project, 'node_modules/.package-lock.json'), JSON.stringify({ packages }))
    const { ended, stderr } = run('')
    expect(await ended).toEqual([0, null])
    expect(await stderr).toBe('')
    expect(read('calls')).toBe('')
  })

  test('two commands at once install once', async () => {
    const both = [run(''), run('')]
    expect(await Promise.all(both.map(({ ended }) => ended))).toEqual([
      [0, null],
      [0, null],
    ])
    expect(read('calls').split('\n').filter(Boolean)).toHaveLength(1)
  })

  test('a lock whose owner is gone is ignored', async () => {
    mkdirSync(join(project, '.cache'))
    const gone = execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim()
    writeFileSync(join(project, '.cache/set-up.lock'), gone)
    expect(await run('').ended).toEqual([0, null])
    expect(existsSync(join(project, '.cache/set-up.lock'))).toBe(false)
  })

  test('a failed installation is reported, starts no process, and is tried again', async () => {
    const works = read('bin/npm')
    writeFileSync(join(project, 'bin/npm'), '#!/bin/sh\nexit 1\n')
    const failing = run('console.log("started")')
    expect(await failing.ended).toEqual([1, null])
    expect(await failing.stderr).toContain('npm ci failed')
    expect(await failing.stdout).toBe('')
    writeFileSync(join(project, 'bin/npm'), works)
    expect(await run('').ended).toEqual([0, null])
  })

  test('a configured server that is missing is one line of error, and no start', async () => {
    installed()
    const demo = run('console.log("started")', {
      entry: 'src/apps/demo/main.ts',
      env: { REDIS_SERVER_BIN: '/nowhere/redis' },
    })
    expect(await demo.ended).toEqual([1, null])
    expect(await demo.stderr).toBe(
      'set-up: REDIS_SERVER_BIN names /nowhere/redis, and there is no such file.\n',
    )
    expect(await demo.stdout).toBe('')
  })
})

describe('the entry', () => {
  beforeEach(installed)

  test('runs on Node 24 with its arguments, and so do its child processes', async () => {
    const { ended, stdout } = run(`import { execFileSync } from 'node:child_process'
      const [, , ...args] = process.argv
      console.log(JSON.stringify([args, process.version, execFileSync('node', ['-p', 'process.version'], { encoding: 'utf8' }).trim()]))`)
    expect(await ended).toEqual([0, null])
    expect(JSON.parse(await stdout)).toEqual([
      ['one', 'two words'],
      process.version,
      process.version,
    ])
  })

  test('gets the path of the Redis server in its environment', async () => {
    const bin = join(project, 'bin/npm')
    const demo = run('console.log(process.env.REDIS_SERVER_BIN)', {
      entry: 'src/apps/demo/main.ts',
      env: { REDIS_SERVER_BIN: bin },
    })
    expect(await demo.stdout).toBe(`${bin}\n`)
  })

  test('reads .env where it is a process of the system; set variables win', async () => {
    writeFileSync(join(project, '.env'), 'RELAY_PORT=1\nLOG_LEVEL=debug\n')
    const print = 'console.log(process.env.RELAY_PORT, process.env.LOG_LEVEL)'
    const relay = run(print, { entry: 'relay/main.ts', env: { RELAY_PORT: '2' } })
    expect(await relay.stdout).toBe('2 debug\n')
    const sandbox = run(print, { entry: 'src/apps/sandbox/main.ts' })
    expect(await sandbox.stdout).toBe('undefined undefined\n')
  })

  test('returns its exit code', async () => {
    expect(await run('process.exitCode = 7').ended).toEqual([7, null])
  })

  test('ends by the same signal', async () => {
    expect(await run("process.kill(process.pid, 'SIGKILL')").ended).toEqual([null, 'SIGKILL'])
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'gets %s once, though terminal, npm and set-up all pass it on',
    async (signal) => {
      const { pid, ended } = run(DRAINS)
      await written('ready', 'yes')
      process.kill(-pid, signal)
      process.kill(pid, signal)
      await written('signals', `${signal} `)
      process.kill(-pid, signal)
      expect(await ended).toEqual([3, null])
      expect(read('signals')).toBe(`${signal} `)
    },
  )

  test('is asked to end when its terminal closes', async () => {
    const { pid, ended } = run(DRAINS)
    await written('ready', 'yes')
    process.kill(-pid, 'SIGHUP')
    expect(await ended).toEqual([3, null])
    expect(read('signals')).toBe('SIGTERM ')
  })

  test('is asked to end when the npm that started it ends before it', async () => {
    const { pid } = run(DRAINS, { env: { npm_lifecycle_event: 'demo' }, via: 'sh' })
    await written('ready', 'yes')
    process.kill(pid, 'SIGTERM') // npm's shell, and nothing else
    await written('signals', 'SIGTERM ')
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'gets %s that reaches only npm’s child, and npm gets its exit status',
    async (signal) => {
      mkdirSync(join(project, 'src/apps/sandbox'), { recursive: true })
      writeFileSync(join(project, 'src/apps/sandbox/main.ts'), DRAINS)
      const child = spawn('/bin/sh', ['-c', scripts['sandbox'] ?? ''], {
        cwd: project,
        stdio: 'ignore',
        env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, npm_lifecycle_event: 'sandbox' },
      })
      running.add(child)
      await written('ready', 'yes')
      child.kill(signal) // as npm passes it on: a shell that waited for the set-up would keep SIGINT to itself
      expect(await once(child, 'exit')).toEqual([3, null])
      expect(read('signals')).toBe(`${signal} `)
    },
  )

  test('every command that starts the set-up leaves no shell waiting', () => {
    const starting = Object.values(scripts).filter((script) => script.includes('setup/run.mjs'))
    expect(starting.length).toBeGreaterThan(5)
    for (const script of starting) expect(script).toMatch(/^exec node src\/setup\/run\.mjs /)
  })

  test('is asked to end when its set-up is killed', async () => {
    const { pid } = run(DRAINS)
    await written('ready', 'yes')
    process.kill(-pid, 'SIGKILL')
    await written('signals', 'SIGTERM ')
  })
})
