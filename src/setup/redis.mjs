import { execFileSync } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { serverCandidates } from './plan.mjs'

/** Libraries that Debian's server needs and that a slim machine may lack. */
const LIBRARIES = [
  'libatomic1 libjemalloc2 liblua5.1-0 liblzf1 libhiredis0.14 libhiredis1.1.0',
  'lua-bitop lua-cjson libsystemd0 libcap2 liblz4-1 liblzma5 libzstd1 libgcrypt20 libgpg-error0 libssl3 libssl3t64',
]
  .join(' ')
  .split(' ')
const DOWNLOAD_MS_MAX = 120_000

/** A server on the machine, or `null`. @param {string} path */
export function findServer(path) {
  return serverCandidates(path).find(isExecutable) ?? null
}

/** The private copy, made when it is not there yet; `null` where this machine's package manager cannot give one.
 *  @param {string} cacheFolder @param {(line: string) => void} say */
export function privateServer(cacheFolder, say) {
  const home = join(cacheFolder, 'redis')
  const server = join(home, 'redis-server')
  if (isExecutable(server)) return server
  if (!runs('apt-get', ['--version']) || !runs('dpkg', ['--version'])) return null
  say('Fetching a private copy of the Redis server into .cache (nothing is installed on the system) ...')
  mkdirSync(cacheFolder, { recursive: true })
  const making = mkdtempSync(join(cacheFolder, 'redis-making-'))
  try {
    unpack(making)
    writeWrapper(making)
    execFileSync(join(making, 'redis-server'), ['--version'], { stdio: 'pipe' })
    if (!existsSync(home)) renameSync(making, home) // somebody else may have been faster: theirs is as good
    return server
  } catch {
    return null
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
}

/** Downloads with the machine's package lists, or, where those are missing, with lists of our own.  @param {string} folder */
function unpack(folder) {
  const debs = join(folder, 'debs')
  mkdirSync(join(folder, 'apt/lists/partial'), { recursive: true })
  mkdirSync(join(folder, 'apt/cache/archives/partial'), { recursive: true })
  mkdirSync(debs)
  const own = [
    '-o',
    `Dir::State::lists=${folder}/apt/lists`,
    '-o',
    `Dir::Cache=${folder}/apt/cache`,
    '-o',
    'APT::Sandbox::User=root',
  ]
  let options = ['-o', 'APT::Sandbox::User=root']
  const download = (/** @type {string[]} */ names) =>
    execFileSync('apt-get', [...options, 'download', '-qq', ...names], {
      cwd: debs,
      stdio: 'pipe',
      timeout: DOWNLOAD_MS_MAX,
    })
  try {
    download(['redis-server', 'redis-tools'])
  } catch {
    options = own
    execFileSync('apt-get', [...options, 'update', '-qq'], { stdio: 'pipe', timeout: DOWNLOAD_MS_MAX })
    download(['redis-server', 'redis-tools'])
  }
  extract(folder)
  if (missing(folder).length === 0) return
  for (const name of LIBRARIES) {
    try {
      download([name])
    } catch {
      // Not every release has every name; what counts is whether something is missing in the end.
    }
  }
  extract(folder)
}

/** @param {string} folder */
function extract(folder) {
  for (const deb of readdirSync(join(folder, 'debs'))) {
    execFileSync('dpkg', ['-x', join(folder, 'debs', deb), join(folder, 'root')], { stdio: 'pipe' })
  }
}

/** @param {string} folder */
function missing(folder) {
  const listing = execFileSync('ldd', [join(folder, 'root/usr/bin/redis-server')], { encoding: 'utf8', stdio: 'pipe' })
  return listing.split('\n').filter((line) => line.includes('not found'))
}

/** The copy needs its own libraries; it finds them from wherever it lies. @param {string} folder */
function writeWrapper(folder) {
  rmSync(join(folder, 'debs'), { recursive: true })
  rmSync(join(folder, 'apt'), { recursive: true })
  const lines = [
    '#!/bin/sh',
    'here=$(dirname "$(readlink -f "$0")")/root/usr',
    'libraries=$(echo "$here"/lib/*-linux-gnu | tr " " ":"):$here/lib',
    'LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/bin/redis-server" "$@"',
  ]
  writeFileSync(join(folder, 'redis-server'), `${lines.join('\n')}\n`, { mode: 0o755 })
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** @param {string} command @param {string[]} args */
function runs(command, args) {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
