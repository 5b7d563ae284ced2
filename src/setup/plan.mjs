// @ts-check
// The needs of a command before it can start. Decisions only: this file does not touch the machine.

/**
 * Returns whether the entry starts Redis servers in order to kill them. Such an entry has no use
 * for the URL of a running server.
 */
const isProof = (/** @type {string} */ entry) => entry.startsWith('tests/')
const DEMO = 'src/apps/demo/main.ts'

/**
 * The entries that an operator runs. Only these read the settings of `.env`; the demo and the tests
 * must behave the same on every machine.
 */
const READS_ENV_FILE = new Set(['workers/main.ts', 'relay/main.ts', 'src/apps/dashboard/main.ts'])

/**
 * @param {Readonly<{ entry: string, env: Readonly<Record<string, string | undefined>>, lockHash:
 *   string, installedHash: string | null }>} seen `lockHash` of the lock file as it is,
 *   `installedHash` as it was when the packages were installed
 * @returns {{ install: boolean, redisServer: 'none' | 'given' | 'find', envFile: boolean }}
 */
export function planOf({ entry, env, lockHash, installedHash }) {
  const needsServer = isProof(entry) || (entry === DEMO && !env.REDIS_URL)
  return {
    install: lockHash !== installedHash,
    redisServer: !needsServer ? 'none' : env.REDIS_SERVER_BIN ? 'given' : 'find',
    envFile: READS_ENV_FILE.has(entry),
  }
}

/**
 * Returns whether `node_modules` already holds all packages of the lock file, by npm's own record
 * of its installs. After `npm install NAME` it does, and installing again would remove the packages
 * under running processes.
 * @param {string} lock text of package-lock.json
 * @param {string} record text of node_modules/.package-lock.json
 */
export function holdsAll(lock, record) {
  /** @type {Record<string, { version?: string, integrity?: string, optional?: boolean }>} */
  const wanted = { ...JSON.parse(lock).packages }
  delete wanted[''] // the project itself
  /** @type {typeof wanted} */
  const there = JSON.parse(record).packages ?? {}
  const isThere = (/** @type {string} */ path) => {
    const want = wanted[path]
    const have = there[path]
    if (have === undefined) return want?.optional === true // for another platform
    return want !== undefined && want.version === have.version && want.integrity === have.integrity
  }
  return [...Object.keys(wanted), ...Object.keys(there)].every(isThere)
}

/** The version of Node that runs an entry, instead of the machine's Node. */
const NODE_MAJOR = 24

/**
 * Where Node 24 may lie below the project, in the order in which the places are tried: the place
 * where its install script links it, then its place if scripts are switched off on this machine.
 * @param {string} platform as in process.platform
 * @param {string} arch as in process.arch
 */
export function nodeCandidates(platform, arch) {
  const own = `node-${platform}-${arch}/bin/node`
  return [
    'node_modules/node/bin/node',
    `node_modules/node/node_modules/${own}`,
    `node_modules/${own}`,
  ]
}

/** @param {string} version as in process.versions.node */
export const isNodeMajor = (version) => version.startsWith(`${NODE_MAJOR}.`)

const USUAL_FOLDERS = [
  '/usr/local/bin',
  '/usr/local/sbin',
  '/usr/bin',
  '/usr/sbin',
  '/opt/homebrew/bin',
  '/home/linuxbrew/.linuxbrew/bin',
  '/opt/local/bin',
]

/**
 * Where a server may lie, in the order in which the places are tried.
 * @param {string} path the PATH of the machine
 */
export function serverCandidates(path) {
  const folders = new Set([
    ...path.split(':').filter((folder) => folder.startsWith('/')),
    ...USUAL_FOLDERS,
  ])
  return [...folders].flatMap((folder) => [`${folder}/valkey-server`, `${folder}/redis-server`])
}

const SERVER_MAJOR_MIN = 7

/**
 * Returns whether a server is new enough, by its output for `--version`: `Redis server v=7.0.15
 * sha=...`.
 * @param {string} text
 */
export function isNewEnough(text) {
  const major = /\bv=(\d+)\./.exec(text)?.[1]
  return major !== undefined && Number(major) >= SERVER_MAJOR_MIN
}

/** The libraries that the loader cannot find, by the output of `ldd`. @param {string} text */
export const missingLibraries = (text) =>
  [...text.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? '')

/**
 * The packages that `apt-cache depends` lists as needed. Names in angle brackets are virtual. libc
 * belongs to the machine: a second libc beside its loader cannot work.
 * @param {string} text
 */
export function neededPackages(text) {
  const names = [
    ...text.matchAll(/^\s*\|?(?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]*)(?::\w+)?$/gm),
  ].map((match) => match[1] ?? '')
  return [...new Set(names)].filter(
    (name) => !/^(libc6|libgcc-s1|redis-.*|adduser|lsb-base|sysvinit-utils|init-.*)$/.test(name),
  )
}

/** The message if no server can be found or fetched. */
export const NO_REDIS =
  'No Redis server (7 or newer) found. Install one (Debian: apt-get install redis-server, macOS: brew install redis), ' +
  'or set REDIS_SERVER_BIN to the path of one, or, for the demo, REDIS_URL to one that runs (docker compose up redis).'

/**
 * One request to stop reaches us several times: from the terminal, from npm, from a supervisor that
 * signals the whole group. A second signal means "at once", so repeats within `windowMs` count as
 * one signal.
 * @param {number} windowMs
 * @returns {(nowMs: number) => boolean} whether this signal is to be passed on
 */
export function oncePerWish(windowMs) {
  let lastMs = -Infinity
  return (nowMs) => {
    const isNew = nowMs - lastMs >= windowMs
    lastMs = nowMs
    return isNew
  }
}
