// @ts-check A Redis server of our own: private port, private folder. States: running, down (after
//   `kill`, until `restart`), stopped. The server never outlives this process: a shell runs between
//   the two, holds a pipe from us, and kills the server when the pipe closes, which happens however
//   we end. The server is in a session of its own, so that Ctrl-C in a terminal does not end it
//   before us.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const START_MS_MAX = 10_000
const STOP_MS_MAX = 2_000
const LOOK_INTERVAL_MS = 10
const PORT_TRIES_MAX = 5

/**
 * @typedef {object} RedisServer
 * @property {string} url `redis://127.0.0.1:<port>`
 * @property {number} port stays the same over `restart`
 * @property {number} pid of the server itself; changes with `restart`
 * @property {() => Promise<void>} kill ends it at once, as a crash would; its data folder stays
 * @property {() => Promise<void>} restart starts it again after `kill`, on the same port and folder
 * @property {() => Promise<void>} stop ends it and removes its folder; harmless when repeated
 *
 * @typedef {RedisServer & AsyncDisposable} EmbeddedRedis disposing it is `stop`
 *
 * @typedef {object} EmbeddedRedisOptions
 * @property {string} [bin] path of the server; default REDIS_SERVER_BIN, else `redis-server` on the
 *   PATH
 * @property {number} [port] default: a free one
 * @property {boolean} [persistent] keeps an append-only file, so that `kill` and `restart` lose
 *   nothing that was answered; default false
 * @property {readonly string[]} [args] further arguments of the server
 */

const KEEPER = fileURLToPath(new URL('keep-redis.sh', import.meta.url))

/**
 * Resolves once the server answers.
 * @param {EmbeddedRedisOptions} [options]
 * @returns {Promise<EmbeddedRedis>}
 * @throws when the server cannot be started, or does not answer within 10 s
 */
export async function startEmbeddedRedis(options = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'fillcast-redis-'))
  const command = commandLine(options, folder)
  let port = options.port ?? (await freePort())
  let running = null
  for (let tries = 1; running === null; tries += 1) {
    try {
      running = await launch(folder, command, port)
    } catch (error) {
      if (options.port !== undefined || tries >= PORT_TRIES_MAX) {
        rmSync(folder, { recursive: true, force: true })
        throw error
      }
      port = await freePort() // another process may have taken that port first
    }
  }
  let { pid, ended } = running

  const end = async (/** @type {NodeJS.Signals} */ signal) => {
    signalTo(pid, signal)
    const isSlow = sleep(STOP_MS_MAX, true, { ref: false })
    if (await Promise.race([ended.then(() => false), isSlow])) signalTo(pid, 'SIGKILL')
    await ended
  }
  const stop = async () => {
    await end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return pid
    },
    kill: () => end('SIGKILL'),
    async restart() {
      ;({ pid, ended } = await launch(folder, command, port))
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** @param {EmbeddedRedisOptions} options @param {string} folder */
function commandLine({ bin, persistent = false, args = [] }, folder) {
  const appendOnly = persistent
    ? ['--appendonly', 'yes', '--appendfsync', 'everysec']
    : ['--appendonly', 'no']
  const server = bin ?? process.env.REDIS_SERVER_BIN ?? 'redis-server'
  const fixed = [
    '--bind',
    '127.0.0.1',
    '--daemonize',
    'no',
    '--save',
    '',
    '--maxmemory-policy',
    'noeviction',
  ]
  return [server, ...fixed, '--dir', folder, ...appendOnly, ...args]
}

/**
 * One run of the server. Resolves when this server, and not another one on that port, answers.
 * @param {string} folder @param {readonly string[]} command @param {number} port
 * @returns {Promise<{ pid: number, ended: Promise<void> }>}
 */
async function launch(folder, [server = '', ...args], port) {
  const keeper = spawn('/bin/sh', [KEEPER, folder, server, '--port', String(port), ...args], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  })
  keeper.stdin.on('error', () => {}) // this process never writes to it
  let isOver = false
  const ended = new Promise((/** @type {(value: void) => void} */ resolve) => {
    keeper.once('error', () => resolve())
    keeper.once('exit', () => resolve())
  }).finally(() => {
    isOver = true
    keeper.stdin.destroy()
  })
  const pid = Number(await text(keeper.stdout))
  const deadlineMs = performance.now() + START_MS_MAX
  while (!isOver) {
    if ((await serverOn(port)) === pid) return { pid, ended }
    if (performance.now() > deadlineMs) {
      signalTo(pid, 'SIGKILL')
      throw new Error(`${server} did not answer on port ${port} within ${START_MS_MAX} ms`)
    }
    await sleep(LOOK_INTERVAL_MS)
  }
  throw new Error(
    `${server} ended before it answered on port ${port}: is it a Redis server, and is the port free?`,
  )
}

/** Process id 0 would be our own group. @param {number} pid @param {NodeJS.Signals} signal */
function signalTo(pid, signal) {
  try {
    if (pid > 0) process.kill(pid, signal)
  } catch {
    // it has ended by itself
  }
}

/** A port that was free a moment ago. @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : 0),
      )
    })
  })

/**
 * The process id of the Redis server that answers on `port`; `null` when none does.
 * @param {number} port
 * @returns {Promise<number | null>}
 */
const serverOn = (port) =>
  new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.end('INFO server\r\n'))
    socket.setTimeout(500, () => socket.destroy())
    socket.on('data', (data) => (answer += data.toString()))
    socket.once('error', () => {}) // 'close' follows
    socket.once('close', () => {
      const pid = /^process_id:(\d+)/m.exec(answer)?.[1]
      resolve(pid === undefined ? null : Number(pid))
    })
  })
