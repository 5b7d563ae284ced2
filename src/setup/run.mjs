// @ts-check Makes a fresh machine ready, then starts an entry under Node 24: node src/setup/run.mjs
//   ENTRY [arguments] Plain JavaScript for Node 18 and newer, because it runs before anything is
//   installed. Silent when there is nothing to do.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { clearInterval, setInterval } from 'node:timers'
import { fileURLToPath } from 'node:url'
import { alone } from './lock.mjs'
import { holdsAll, isNodeMajor, NO_REDIS, nodeCandidates, oncePerWish, planOf } from './plan.mjs'
import { findServer, privateServer } from './redis.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cacheFolder = join(root, '.cache')
/**
 * Holds the hash of the lock file from which the packages were installed; npm removes it when it
 * installs anew.
 */
const stamp = join(root, 'node_modules/.fillcast-lock')
const say = (/** @type {string} */ line) => process.stderr.write(`set-up: ${line}\n`)

/** @param {string} line @returns {never} */
function stop(line) {
  say(line)
  process.exit(1)
}

const installedHash = () => (existsSync(stamp) ? readFileSync(stamp, 'utf8') : null)
const lock = readFileSync(join(root, 'package-lock.json'), 'utf8')
const lockHash = createHash('sha256').update(lock).digest('hex')
/** npm's own record of its installed packages. */
const record = join(root, 'node_modules/.package-lock.json')

function install() {
  if (installedHash() === lockHash) return // another command has installed them
  if (existsSync(record) && holdsAll(lock, readFileSync(record, 'utf8')))
    return writeFileSync(stamp, lockHash)
  say('Installing the packages of package-lock.json into node_modules ...')
  // Development packages are always installed, for any value of NODE_ENV: Node 24 is one of them.
  const done = spawnSync(
    'npm',
    ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  if (done.error) stop(`npm cannot be started (${done.error.message}): install it beside Node.`)
  if (done.status !== 0) stop('npm ci failed; its message is above.')
  writeFileSync(stamp, lockHash)
}

function node24() {
  const found = nodeCandidates(process.platform, process.arch)
    .map((path) => join(root, path))
    .find(existsSync)
  if (found !== undefined) return found
  if (isNodeMajor(process.versions.node)) return process.execPath
  return stop(
    'Node 24 is missing from node_modules: remove that folder and run this again, or use Node 24 yourself.',
  )
}

/** @param {'none' | 'given' | 'find'} want @returns {Promise<Record<string, string>>} */
async function redisServer(want) {
  if (want === 'none') return {}
  if (want === 'given') {
    const given = resolve(process.env.REDIS_SERVER_BIN ?? '')
    if (!existsSync(given)) stop(`REDIS_SERVER_BIN names ${given}, and there is no such file.`)
    return { REDIS_SERVER_BIN: given }
  }
  const server =
    findServer(process.env.PATH ?? '') ??
    (await alone(cacheFolder, say, () => privateServer(cacheFolder, say)))
  return server === null ? stop(NO_REDIS) : { REDIS_SERVER_BIN: server }
}

const WISH_MS = 1_000
const PARENT_LOOK_MS = 500

/**
 * Runs the entry in a session of its own, so that every signal comes through us and reaches the
 * entry once. This process ends as the entry ends.
 * @param {string} node
 * @param {string[]} args
 * @param {Record<string, string>} extra
 */
function start(node, args, extra) {
  // Tools that the entry starts by name must find the same Node.
  const path = [dirname(node), join(root, 'node_modules/.bin'), process.env.PATH ?? ''].join(
    delimiter,
  )
  const child = spawn(node, args, {
    cwd: root,
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    detached: true,
    env: { ...process.env, ...extra, PATH: path, FILLCAST_LEASH: '3' },
  })
  child.on('error', (error) => stop(`${node} cannot be started: ${error.message}`))
  const isNewWish = oncePerWish(WISH_MS)
  for (const [signal, passedOn] of /** @type {const} */ ([
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGTERM'],
    ['SIGHUP', 'SIGTERM'],
  ])) {
    process.on(signal, () => {
      if (isNewWish(performance.now())) child.kill(passedOn)
    })
  }
  // npm passes signals on to its child: us, since its shell gives way (exec, in package.json). An
  // npm that is killed cannot pass them on.
  const parent = process.ppid
  const isNpms = process.env.npm_lifecycle_event !== undefined
  const watch = setInterval(
    () => isNpms && process.ppid !== parent && child.kill('SIGTERM'),
    PARENT_LOOK_MS,
  ).unref()
  child.on('exit', (code, signal) => {
    clearInterval(watch)
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

const [entry, ...args] = process.argv.slice(2)
if (entry === undefined) stop('say what to start: node src/setup/run.mjs ENTRY [arguments]')
const plan = planOf({ entry, env: process.env, lockHash, installedHash: installedHash() })
if (plan.install) await alone(cacheFolder, say, install)
const extra = await redisServer(plan.redisServer)
const flags = ['--import', new URL('leash.mjs', import.meta.url).href]
if (plan.envFile && existsSync(join(root, '.env'))) flags.push('--env-file=.env')
start(node24(), [...flags, entry, ...args], extra)
