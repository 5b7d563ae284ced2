import type { Redis } from 'ioredis'
import { connectionIndexKey, controlField, controlKey } from './keys.ts'
import { firstVersion, readRecord } from './records.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/** Which of the broker's environments a connection belongs to. */
export type BrokerEnvironment = 'paper' | 'live' | 'sandbox'

/** A user's link to a broker account. The credentials are sealed; only workers open them. */
export type BrokerConnection = Readonly<{
  schema: 1
  userId: string
  connectionId: string
  brokerType: 'alpaca'
  env: BrokerEnvironment
  sealed: string
  connectedAt: string
  /** Grows with every change of the record. */
  revision: string
}>

const connectionRecord = firstVersion<BrokerConnection>()

/** Where an entry of the index stands: read on from here. */
export type IndexPosition = number

/** The broker connections of all users. */
export interface Connections {
  /** Adds or replaces; the record is in the user's control set before the index names it. */
  put(connection: Omit<BrokerConnection, 'schema' | 'revision'>): Promise<BrokerConnection>
  get(ref: ConnectionRef): Promise<BrokerConnection | null>
  list(userId: string): Promise<readonly BrokerConnection[]>
  /** Connections changed at or after `from`, oldest change first: a worker's way to hear of its work. */
  changedSince(from: IndexPosition, limit: number): Promise<readonly (ConnectionRef & { position: IndexPosition })[]>
}

export function createConnections(connection: Redis): Connections {
  const redis = withScripts(connection)
  const get = async ({ userId, connectionId }: ConnectionRef): Promise<BrokerConnection | null> => {
    const name = controlField.connection(connectionId)
    return readRecord(connectionRecord, name, await redis.hget(controlKey(userId), name))
  }
  return {
    get,
    async put(record) {
      const { userId, connectionId } = record
      const text = JSON.stringify({ schema: 1, ...record })
      const revision = await redis.connectionPut(controlKey(userId), controlField.connection(connectionId), text)
      await redis.zadd(connectionIndexKey, revision, `${userId} ${connectionId}`)
      return { schema: 1, ...record, revision }
    },
    async list(userId) {
      const records = await redis.hgetall(controlKey(userId))
      return Object.entries(records).flatMap(([name, text]) => {
        const record = name.startsWith('connection:') ? readRecord(connectionRecord, name, text) : null
        return record === null ? [] : [record]
      })
    },
    async changedSince(from, limit) {
      const rows = await redis.zrangebyscore(connectionIndexKey, from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
      return rows.flatMap((member, index) => {
        const [userId, connectionId] = member.split(' ')
        if (index % 2 === 1 || userId === undefined || connectionId === undefined) return []
        return [{ userId, connectionId, position: Number(rows[index + 1]) }]
      })
    },
  }
}
