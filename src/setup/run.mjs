// Makes a fresh machine ready, then starts an entry under Node 24:  node src/setup/run.mjs ENTRY [arguments]
// Plain JavaScript for Node 18 and newer, because it runs before anything is installed. Silent when there is nothing to do.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NO_REDIS, planOf } from './plan.mjs'
import { findServer, privateServer } from './redis.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cacheFolder = join(root, '.cache')
const stamp = join(root, 'node_modules/.fillcast-lock')
const say = (/** @type {string} */ line) => process.stderr.write(`set-up: ${line}\n`)

/** @param {string} line @returns {never} */
function stop(line) {
  say(line)
  process.exit(1)
}

function install() {
  say('Installing the packages of package-lock.json ...')
  const done = spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (done.status !== 0) stop('npm ci failed; see its message above.')
}

/** @param {'none' | 'given' | 'find'} want @returns {Record<string, string>} */
function redisServer(want) {
  if (want === 'none') return {}
  if (want === 'given') {
    const given = process.env.REDIS_SERVER_BIN ?? ''
    if (!existsSync(given)) stop(`REDIS_SERVER_BIN names ${given}, and there is no such file.`)
    return { REDIS_SERVER_BIN: given }
  }
  const server = findServer(process.env.PATH ?? '') ?? privateServer(cacheFolder, say)
  return server === null ? stop(NO_REDIS) : { REDIS_SERVER_BIN: server }
}

/** @param {string} entry @param {string[]} args @param {Record<string, string>} extra */
function start(entry, args, extra) {
  const node = join(root, 'node_modules/node/bin/node')
  if (!existsSync(node)) stop('Node 24 is missing from node_modules: remove node_modules and run this again.')
  // Tools that the entry starts by name must find the same Node.
  const path = `${join(root, 'node_modules/node/bin')}:${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`
  const child = spawn(node, [entry, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...extra, PATH: path },
  })
  // A terminal sends Ctrl-C to the whole group, the child included; only a signal meant for us alone is passed on.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

const [entry, ...args] = process.argv.slice(2)
if (entry === undefined) stop('say what to start: node src/setup/run.mjs ENTRY [arguments]')
const lockHash = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const installedHash = existsSync(stamp) ? readFileSync(stamp, 'utf8') : null
const plan = planOf({ entry, env: process.env, lockHash, installedHash })
if (plan.install) {
  install()
  writeFileSync(stamp, lockHash)
}
mkdirSync(cacheFolder, { recursive: true })
start(entry, args, redisServer(plan.redisServer))
