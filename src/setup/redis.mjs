// @ts-check
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
import { isNewEnough, missingLibraries, neededPackages, serverCandidates } from './plan.mjs'

const DOWNLOAD_MS_MAX = 120_000
/** Libraries have dependencies of their own; a server needs no deeper ones than this. */
const LIBRARY_ROUNDS_MAX = 3

/** A server on the machine, or `null`. @param {string} path */
export function findServer(path) {
  return (
    serverCandidates(path).find((file) => isExecutable(file) && isNewEnough(versionOf(file))) ??
    null
  )
}

/**
 * The private copy of the server, made if it is missing; `null` if this machine's package manager
 * cannot provide one. The system stays unchanged: packages are downloaded and unpacked, never
 * installed, with caches of our own.
 * @param {string} cacheFolder
 * @param {(line: string) => void} say
 */
export function privateServer(cacheFolder, say) {
  const home = join(cacheFolder, 'redis')
  const server = join(home, 'redis-server')
  if (isExecutable(server)) return server
  if (output('apt-get', ['--version']) === null || output('dpkg', ['--version']) === null)
    return null
  say(
    'Fetching a private copy of the Redis server into .cache/redis (nothing is installed on the system) ...',
  )
  const making = mkdtempSync(join(cacheFolder, 'redis-making-'))
  try {
    unpack(making)
    writeWrapper(making)
    if (!isNewEnough(versionOf(join(making, 'redis-server'))))
      throw new Error('what it has does not run, or is too old')
    rmSync(home, { recursive: true, force: true })
    renameSync(making, home) // the whole copy or none of it
    return server
  } catch (error) {
    say(
      `The package manager could not give one: ${error instanceof Error ? lastLine(error.message) : String(error)}`,
    )
    return null
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
}

/** @param {string} text */
const lastLine = (text) => text.trim().split('\n').at(-1) ?? ''

/**
 * Downloads the server and its libraries that this machine lacks, and unpacks both. @param {string}
 * folder
 */
function unpack(folder) {
  const debs = join(folder, 'debs')
  const lists = join(folder, 'apt/lists')
  for (const made of [debs, join(lists, 'partial'), join(folder, 'apt/archives/partial')])
    mkdirSync(made, { recursive: true })
  // The download user of apt may not enter our folders.
  const ownCache = ['-o', `Dir::Cache=${folder}/apt`, '-o', 'APT::Sandbox::User=']
  const ownLists = [...ownCache, '-o', `Dir::State::Lists=${lists}`]
  let options = ownCache
  const download = (/** @type {string[]} */ names) => {
    execFileSync('apt-get', [...options, '-qq', 'download', ...names], {
      cwd: debs,
      stdio: 'pipe',
      timeout: DOWNLOAD_MS_MAX,
    })
    for (const deb of readdirSync(debs)) {
      execFileSync('dpkg', ['-x', join(debs, deb), join(folder, 'tree')], { stdio: 'pipe' })
      rmSync(join(debs, deb))
    }
  }
  try {
    download(['redis-server', 'redis-tools'])
  } catch {
    // No package lists on this machine, or stale ones: fetch our own.
    options = ownLists
    execFileSync('apt-get', [...options, '-qq', 'update'], {
      stdio: 'pipe',
      timeout: DOWNLOAD_MS_MAX,
    })
    download(['redis-server', 'redis-tools'])
  }
  let names = ['redis-tools', 'redis-server']
  const seen = new Set(names)
  for (let round = 0; round < LIBRARY_ROUNDS_MAX && missing(folder).length > 0; round += 1) {
    const listed = execFileSync('apt-cache', [...options, '-i', 'depends', ...names], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
    names = neededPackages(listed).filter((name) => !seen.has(name) && !isInstalled(name))
    for (const name of names) seen.add(name)
    if (names.length === 0) break
    download(names)
  }
  const lacking = missing(folder)
  if (lacking.length > 0) throw new Error(`libraries are missing: ${lacking.join(', ')}`)
  rmSync(join(folder, 'apt'), { recursive: true })
  rmSync(debs, { recursive: true })
}

/** @param {string} name */
const isInstalled = (name) =>
  output('dpkg-query', ['-W', '-f', '${db:Status-Status}', name]) === 'installed'

/** Folders of a copy that hold libraries. @param {string} folder */
const libraryFolders = (folder) =>
  ['usr/lib', 'lib'].flatMap((lib) => {
    const path = join(folder, 'tree', lib)
    if (!existsSync(path)) return []
    return [
      path,
      ...readdirSync(path)
        .filter((name) => name.includes('-linux-'))
        .map((name) => join(path, name)),
    ]
  })

/** @param {string} folder */
function missing(folder) {
  const env = { ...process.env, LD_LIBRARY_PATH: libraryFolders(folder).join(':') }
  const server = join(folder, 'tree/usr/bin/redis-server')
  return missingLibraries(execFileSync('ldd', [server], { encoding: 'utf8', stdio: 'pipe', env }))
}

/**
 * The copy needs its own libraries, and finds them relative to its own path. @param {string} folder
 */
function writeWrapper(folder) {
  const libraries = libraryFolders(folder).map((path) => `"$here"${path.slice(folder.length)}`)
  const lines = [
    '#!/bin/sh',
    'here=$(dirname "$(readlink -f "$0")")',
    `LD_LIBRARY_PATH=${libraries.join(':')}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}`,
    'export LD_LIBRARY_PATH',
    'exec "$here/tree/usr/bin/redis-server" "$@"',
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

/** @param {string} file */
const versionOf = (file) => output(file, ['--version']) ?? ''

/**
 * The output of a command, or `null` if the command is missing or fails.
 * @param {string} command
 * @param {string[]} args
 */
function output(command, args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return null
  }
}
