// What a command needs before it can start. Decisions only: nothing here touches the machine.

/** Entries that start a Redis server of their own, unless REDIS_URL names one. */
const NEEDS_REDIS_SERVER = new Set(['src/apps/demo/main.ts', 'tests/run.ts'])

/**
 * @param {{ entry: string, env: Record<string, string | undefined>, lockHash: string, installedHash: string | null }} seen
 * @returns {{ install: boolean, redisServer: 'none' | 'given' | 'find' }}
 */
export function planOf({ entry, env, lockHash, installedHash }) {
  const needs = NEEDS_REDIS_SERVER.has(entry)
  // Tests start servers in order to kill them, so a URL is no use to them.
  const hasUrl = Boolean(env.REDIS_URL) && entry !== 'tests/run.ts'
  return {
    install: lockHash !== installedHash,
    redisServer: !needs || hasUrl ? 'none' : env.REDIS_SERVER_BIN ? 'given' : 'find',
  }
}

/** Where a server may lie, in the order in which they are tried. @param {string} path */
export function serverCandidates(path) {
  const folders = [
    ...path.split(':').filter(Boolean),
    '/usr/local/bin',
    '/usr/bin',
    '/opt/homebrew/bin',
    '/opt/local/bin',
  ]
  return [...new Set(folders)].flatMap((folder) => [`${folder}/valkey-server`, `${folder}/redis-server`])
}

/** Said when no server can be had. */
export const NO_REDIS =
  'No Redis server found. Install one (Debian: apt-get install redis-server, macOS: brew install redis), ' +
  'or set REDIS_SERVER_BIN to its path, or REDIS_URL to a running one (docker compose up redis).'
