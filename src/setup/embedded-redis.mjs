import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const START_MS_MAX = 10_000
const PORT_TRIES_MAX = 5

export async function startEmbeddedRedis(options = {}) {
  const bin = options.bin ?? process.env.REDIS_SERVER_BIN ?? 'redis-server'
  const folder = mkdtempSync(join(tmpdir(), 'fillcast-redis-'))
  const durability = options.persistent ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no']
  const settings = [
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--maxmemory-policy',
    'noeviction',
    '--dir',
    folder,
    '--daemonize',
    'no',
  ]
  let child = null
  let port = 0

  const killNow = () => child?.kill('SIGKILL')
  const launch = async (onPort) => {
    const started = spawn(bin, ['--port', String(onPort), ...settings, ...durability, ...(options.args ?? [])], {
      stdio: 'ignore',
    })
    const failed = new Promise((_, reject) => {
      started.once('error', reject)
      started.once('exit', (code) => reject(new Error(`${bin} ended with ${code} before it answered`)))
    })
    failed.catch(() => {}) // only the race below listens, and it may be over
    child = started
    await Promise.race([answers(onPort), failed])
  }
  const ended = async () => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    await new Promise((resolve) => child.once('exit', resolve))
  }
  for (let tries = 1; ; tries += 1) {
    port = await freePort()
    try {
      await launch(port)
      break
    } catch (error) {
      killNow()
      if (tries < PORT_TRIES_MAX && error.code !== 'ENOENT') continue // another process may have been faster at the port
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }
  process.once('exit', killNow)

  const stop = async () => {
    child?.kill('SIGTERM')
    await Promise.race([ended(), sleep(2_000, undefined, { ref: false })])
    killNow()
    await ended()
    process.removeListener('exit', killNow)
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid
    },
    async kill() {
      killNow()
      await ended()
    },
    restart: () => launch(port),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** A port that was free a moment ago. */
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

/** Resolves once something on `port` answers PING. */
async function answers(port) {
  const until = performance.now() + START_MS_MAX
  while (performance.now() < until) {
    if (await pong(port)) return
    await sleep(10)
  }
  throw new Error(`no answer on port ${port} within ${START_MS_MAX} ms`)
}

const pong = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const done = (answer) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(500, () => done(false))
    socket.once('data', (data) => done(data.toString().startsWith('+PONG')))
    socket.once('error', () => done(false))
  })
