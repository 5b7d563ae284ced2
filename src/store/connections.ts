import type { Redis } from 'ioredis'
import { controlField, controlIndexKey, controlKey } from './keys.ts'
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
  /** Being removed, and what becomes of its open orders; nothing new is sent. */
  leaving?: 'cancel' | 'leave'
  /** Grows with every change of the record. */
  revision: string
}>

export const connectionRecord = firstVersion<BrokerConnection>()

/** The broker connections of all users. */
export interface Connections {
  /** Adds or replaces; the record is in the user's control set before the index names it. */
  put(connection: Omit<BrokerConnection, 'schema' | 'revision'>): Promise<BrokerConnection>
  get(ref: ConnectionRef): Promise<BrokerConnection | null>
  list(userId: string): Promise<readonly BrokerConnection[]>
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
      const revision = await redis.controlPut(controlKey(userId), controlField.connection(connectionId), text)
      await redis.zadd(controlIndexKey, 'GT', revision, userId)
      return { schema: 1, ...record, revision }
    },
    async list(userId) {
      const records = await redis.hgetall(controlKey(userId))
      return Object.entries(records).flatMap(([name, text]) => {
        const record = name.startsWith('connection:') ? readRecord(connectionRecord, name, text) : null
        return record === null ? [] : [record]
      })
    },
  }
}
