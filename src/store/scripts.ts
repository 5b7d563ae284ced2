import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Cluster, type Redis } from 'ioredis'

type Argument = string | number | Buffer

/**
 * The store's scripts, as commands of one connection. Redis keeps them by hash; if Redis has lost a
 * script, ioredis sends it again.
 */
export type Scripts = Readonly<{
  commit(keyCount: number, ...keysAndArgs: Argument[]): Promise<CommitAnswer>
  openIndex(state: string, open: string, version: string, ...names: string[]): Promise<0 | 1>
  leaseTake(lease: string, ttlMs: number): Promise<string>
  leaseRenew(lease: string, token: string, ttlMs: number): Promise<0 | 1>
  leaseRelease(lease: string, token: string): Promise<0 | 1>
  controlPut(
    control: string,
    field: string,
    record: string,
    ...guard: [] | [field: string, revision: string]
  ): Promise<string>
  controlRestore(control: string, ...fieldsAndRecords: string[]): Promise<number>
  controlPrune(index: string, userId: string, position: number): Promise<0 | 1>
  accountLink(
    accounts: string,
    account: string,
    connection: string,
    what: 'link' | 'unlink',
  ): Promise<string>
  budgetTake(budget: string, kind: string, ms: number, ...nowUs: number[]): Promise<number>
  registryBeat(workers: string, worker: string, ttlMs: number): Promise<number>
  sessionBar(
    control: string,
    sessionId: string,
    barsMax: number,
    channel: string,
    packet: Buffer,
  ): Promise<string>
  deviceEnter(devices: string, deviceId: string, ...args: Argument[]): Promise<string>
}>

/** The result of the commit script: its kind, and the values of that kind. */
export type CommitAnswer =
  | [kind: 'committed', version: string, lastEventId: string]
  | [kind: 'conflict' | 'fenced']
  | [kind: 'halted' | 'archived' | 'ended' | 'unusable', record: string]
  | [kind: 'over_budget', waitMs: number]
  | [kind: 'over_pace', scope: 'user' | 'connection', max: number, waitMs: number]

/** `null`: the number of keys is the first argument. */
const keyCounts = {
  commit: null,
  openIndex: 2,
  leaseTake: 1,
  leaseRenew: 1,
  leaseRelease: 1,
  controlPut: 1,
  controlRestore: 1,
  controlPrune: 1,
  accountLink: 1,
  budgetTake: 1,
  registryBeat: 1,
  sessionBar: 1,
  deviceEnter: 1,
} as const
const fileOf = (name: string): string =>
  `${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}.lua`

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8')
/** Inserts the code that a script shares with others: `--- include <file without its ending>`. */
const sourceOf = (name: string): string =>
  read(fileOf(name)).replace(/^--- include ([a-z-]+)$/gm, (_line, shared: string) =>
    read(`${shared}.lua`),
  )

const sources = Object.entries(keyCounts).map(([name, numberOfKeys]) => ({
  name: name as keyof Scripts,
  lua: sourceOf(name),
  definition: numberOfKeys === null ? {} : { numberOfKeys },
}))

const commitLua = sourceOf('commit')
const commitSha = createHash('sha1').update(commitLua).digest('hex')

/**
 * Runs the commit script and then reads `field` of `key`: the reading is never older than the
 * commit. Both commands travel together; if Redis does not know the script yet, the script is sent
 * whole, and the reading is repeated.
 */
export async function commitThenRead(
  redis: Redis,
  [keyCount, ...keysAndArgs]: [keyCount: number, ...Argument[]],
  [key, field]: [key: string, field: string],
): Promise<[CommitAnswer, string | null]> {
  const running = redis.evalsha(commitSha, keyCount, ...keysAndArgs) as Promise<CommitAnswer>
  // Connections of a Cluster lead to several nodes: only the script's answer shows that the commit
  // is done.
  const isOrdered = !((redis as Redis | Cluster) instanceof Cluster)
  const reading = isOrdered ? redis.hget(key, field) : running.then(() => redis.hget(key, field))
  const [ran, seen] = await Promise.allSettled([running, reading])
  if (ran.status === 'fulfilled' && seen.status === 'fulfilled') return [ran.value, seen.value]
  if (ran.status === 'fulfilled')
    throw seen.status === 'rejected' ? seen.reason : new Error('unreachable')
  if (!String(ran.reason).includes('NOSCRIPT')) throw ran.reason
  const answer = (await redis.eval(commitLua, keyCount, ...keysAndArgs)) as CommitAnswer
  return [answer, await redis.hget(key, field)]
}

/** Adds the scripts to a connection; harmless when repeated. */
export function withScripts(redis: Redis): Redis & Scripts {
  for (const { name, lua, definition } of sources)
    if (!(name in redis)) redis.defineCommand(name, { lua, ...definition })
  return redis as Redis & Scripts
}
