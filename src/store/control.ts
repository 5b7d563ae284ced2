import type { Redis } from 'ioredis'
import type { RiskLimits } from '#domain'
import { connectionRecord } from './connections.ts'
import {
  controlField,
  controlIndexKey,
  controlKey,
  globalControlKey,
  linkedAccountsKey,
} from './keys.ts'
import { accountName, linkRecord } from './links.ts'
import type { BrokerConnection, Halt, Link } from './record-types.ts'
import { firstVersion, readRecord } from './records.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/** The scope of limits or of a halt. */
export type ControlScope =
  | Readonly<{ scope: 'global' }>
  | Readonly<{ scope: 'user'; userId: string }>
  | Readonly<{ scope: 'connection' } & ConnectionRef>

/**
 * The records of a user that cannot be rebuilt from the broker (D20). The maps are by connection
 * id.
 */
export type ControlSet = Readonly<{
  userId: string
  connections: readonly BrokerConnection[]
  links: ReadonlyMap<string, Link>
  limits: Readonly<{ user: RiskLimits | null; byConnection: ReadonlyMap<string, RiskLimits> }>
  halts: Readonly<{ user: Halt | null; byConnection: ReadonlyMap<string, Halt> }>
  /**
   * Logouts: the barred user or session (`bar`, `bar:<session>`), and since when, as the relay
   * wrote it.
   */
  bars: ReadonlyMap<string, string>
}>

/** The position of an entry in the index; the next reading continues from it. */
export type IndexPosition = number

/** The control sets of all users, and the global halt. */
export interface Controls {
  read(userId: string): Promise<ControlSet>
  readGlobalHalt(): Promise<Halt | null>
  /** `null` removes the limits. */
  setLimits(
    scope: Exclude<ControlScope, { scope: 'global' }>,
    limits: Omit<RiskLimits, 'revision'> | null,
  ): Promise<void>
  /** `null` ends the halt. Once a halt is set, no claim passes that it covers. */
  setHalt(
    scope: ControlScope,
    halt: Omit<Halt, 'schema' | 'scope' | 'revision'> | null,
  ): Promise<void>
  /**
   * After a loss: writes the records that are absent from the store, or older there than the given
   * ones. Harmless when repeated, and when many callers do it at once.
   */
  restore(sets: readonly ControlSet[], globalHalt: Halt | null): Promise<void>
  /** Erases the records of a connection, its credentials first. */
  remove(ref: ConnectionRef): Promise<void>
  /** Users whose set changed at or after `from`, oldest change first. */
  changedSince(
    from: IndexPosition,
    limit: number,
  ): Promise<readonly { userId: string; position: IndexPosition }[]>
  /** Forgets a user whose set was found empty at `position`. */
  prune(userId: string, position: IndexPosition): Promise<void>
}

const haltRecord = firstVersion<Halt>()
const limitsRecord = firstVersion<RiskLimits>()

export function createControls(connection: Redis): Controls {
  const redis = withScripts(connection)
  /** `record` null removes it. The record is in the set before the index names the user. */
  const put = async (userId: string | null, name: string, record: object | null): Promise<void> => {
    const key = userId === null ? globalControlKey : controlKey(userId)
    const revision = await redis.controlPut(
      key,
      name,
      record === null ? '' : JSON.stringify(record),
    )
    if (userId !== null) await redis.zadd(controlIndexKey, 'GT', revision, userId)
  }
  return {
    read: async (userId) => readControlSet(userId, await redis.hgetall(controlKey(userId))),
    readGlobalHalt: async () =>
      readHalt(controlField.halt, await redis.hget(globalControlKey, controlField.halt)),
    async setLimits(at, limits) {
      const name =
        at.scope === 'user' ? controlField.userLimits : controlField.limits(at.connectionId)
      await put(at.userId, name, limits)
    },
    async setHalt(at, halt) {
      const name =
        at.scope === 'connection' ? controlField.connectionHalt(at.connectionId) : controlField.halt
      await put(
        at.scope === 'global' ? null : at.userId,
        name,
        halt && { schema: 1, scope: at.scope, ...halt },
      )
    },
    async restore(sets, globalHalt) {
      if (globalHalt !== null)
        await redis.controlRestore(globalControlKey, controlField.halt, JSON.stringify(globalHalt))
      for (const set of sets) {
        const fields = writtenOf(set).flat()
        if (fields.length === 0) continue
        await redis.controlRestore(controlKey(set.userId), ...fields)
        for (const [connectionId, { env, brokerAccountId }] of set.links)
          await redis.accountLink(
            linkedAccountsKey,
            accountName(env, brokerAccountId),
            `${set.userId} ${connectionId}`,
            'link',
          )
        await redis.zadd(controlIndexKey, 'GT', newestOf(set), set.userId)
      }
    },
    async remove({ userId, connectionId }) {
      await put(userId, controlField.connection(connectionId), null)
      // From here on no check writes a link. The link is erased last, so that a removal that
      // stopped half way frees the account when it is repeated.
      const link = readRecord(
        linkRecord,
        'link',
        await redis.hget(controlKey(userId), controlField.link(connectionId)),
      )
      const account = link === null ? null : accountName(link.env, link.brokerAccountId)
      if (account !== null)
        await redis.accountLink(linkedAccountsKey, account, `${userId} ${connectionId}`, 'unlink')
      for (const name of [controlField.limits, controlField.connectionHalt, controlField.link])
        await redis.hdel(controlKey(userId), name(connectionId))
    },
    async changedSince(from, limit) {
      const rows = await redis.zrangebyscore(
        controlIndexKey,
        from,
        '+inf',
        'WITHSCORES',
        'LIMIT',
        0,
        limit,
      )
      return rows.flatMap((userId, index) =>
        index % 2 === 1 ? [] : [{ userId, position: Number(rows[index + 1]) }],
      )
    },
    prune: async (userId, position) =>
      void (await redis.controlPrune(controlIndexKey, userId, position)),
  }
}

/** @throws {RecordError} */
export function readHalt(name: string, text: string): Halt
export function readHalt(name: string, text: string | null): Halt | null
export function readHalt(name: string, text: string | null): Halt | null {
  return readRecord(haltRecord, name, text)
}

function readControlSet(userId: string, records: Readonly<Record<string, string>>): ControlSet {
  const connections: BrokerConnection[] = []
  const links = new Map<string, Link>()
  const limits = { user: null as RiskLimits | null, byConnection: new Map<string, RiskLimits>() }
  const halts = { user: null as Halt | null, byConnection: new Map<string, Halt>() }
  const bars = new Map<string, string>()
  for (const [name, text] of Object.entries(records)) {
    const [kind = '', id = ''] = name.split(/:(.*)/s)
    if (kind === 'connection')
      connections.push(...present(readRecord(connectionRecord, name, text)))
    else if (kind === 'link') note(links, id, readRecord(linkRecord, name, text))
    else if (name === controlField.userLimits) limits.user = readRecord(limitsRecord, name, text)
    else if (kind === 'limits') note(limits.byConnection, id, readRecord(limitsRecord, name, text))
    else if (name === controlField.halt) halts.user = readHalt(name, text)
    else if (kind === 'halt') note(halts.byConnection, id, readHalt(name, text))
    else if (kind === 'bar') bars.set(name, text)
  }
  return { userId, connections, links, limits, halts, bars }
}

const present = <T>(value: T | null): T[] => (value === null ? [] : [value])
const note = <T>(map: Map<string, T>, id: string, value: T | null): void =>
  void (value !== null && map.set(id, value))

/** The control set as names and texts of its fields. */
function writtenOf({
  connections,
  links,
  limits,
  halts,
  bars,
}: ControlSet): [name: string, text: string][] {
  const records: [string, object | null][] = [
    ...connections.map((one): [string, object] => [controlField.connection(one.connectionId), one]),
    ...[...links].map(([id, one]): [string, object] => [controlField.link(id), one]),
    [controlField.userLimits, limits.user],
    ...[...limits.byConnection].map(([id, one]): [string, object] => [
      controlField.limits(id),
      one,
    ]),
    [controlField.halt, halts.user],
    ...[...halts.byConnection].map(([id, one]): [string, object] => [
      controlField.connectionHalt(id),
      one,
    ]),
  ]
  return [
    ...records.flatMap(([name, record]): [string, string][] =>
      record === null ? [] : [[name, JSON.stringify(record)]],
    ),
    ...bars,
  ]
}

/** The newest revision in a set, which is the set's position in the index. */
function newestOf({ connections, links, limits, halts }: ControlSet): number {
  const records = [
    ...connections,
    ...links.values(),
    ...present(limits.user),
    ...limits.byConnection.values(),
    ...present(halts.user),
    ...halts.byConnection.values(),
  ]
  return Math.max(0, ...records.map(({ revision }) => Number(revision)))
}
