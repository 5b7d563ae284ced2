import type { Redis } from 'ioredis'
import { controlField, controlIndexKey, controlKey } from './keys.ts'
import { linkRecord } from './links.ts'
import type { BrokerConnection, LinkedConnection } from './record-types.ts'
import { firstVersion, readRecord } from './records.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

export const connectionRecord = firstVersion<BrokerConnection>()

/**
 * Returns whether a login has shown to which account the connection's credentials lead, and that it
 * is the right account.
 */
export const isVerified = ({ connection, link }: LinkedConnection): boolean =>
  link !== null &&
  (link.verified === connection.revision || link.verified === connection.leaving?.from)

/**
 * The record of a connection that is being removed. If the removal is requested again, the later
 * choice for the open orders counts.
 */
export function leavingRecord(connection: BrokerConnection, openOrders: 'cancel' | 'leave') {
  const { userId, connectionId, brokerType, env, sealed, connectedAt, leaving, revision } =
    connection
  const from = leaving?.from ?? revision
  return {
    userId,
    connectionId,
    brokerType,
    env,
    sealed,
    connectedAt,
    leaving: { openOrders, from },
  }
}

/** The broker connections of all users. */
export interface Connections {
  /**
   * Adds or replaces a connection. The record is in the user's control set before the index names
   * the user.
   */
  put(connection: Omit<BrokerConnection, 'schema' | 'revision'>): Promise<BrokerConnection>
  /** Marks a connection as being removed: no new order is sent with it. */
  leave(connection: BrokerConnection, openOrders: 'cancel' | 'leave'): Promise<BrokerConnection>
  get(ref: ConnectionRef): Promise<BrokerConnection | null>
  /** The connection, with the account that it leads to. */
  find(ref: ConnectionRef): Promise<LinkedConnection | null>
  list(userId: string): Promise<readonly BrokerConnection[]>
}

export function createConnections(connection: Redis): Connections {
  const redis = withScripts(connection)
  const get = async ({ userId, connectionId }: ConnectionRef): Promise<BrokerConnection | null> => {
    const name = controlField.connection(connectionId)
    return readRecord(connectionRecord, name, await redis.hget(controlKey(userId), name))
  }
  const put: Connections['put'] = async (record) => {
    const { userId, connectionId } = record
    const text = JSON.stringify({ schema: 1, ...record })
    const revision = await redis.controlPut(
      controlKey(userId),
      controlField.connection(connectionId),
      text,
    )
    await redis.zadd(controlIndexKey, 'GT', revision, userId)
    return { schema: 1, ...record, revision }
  }
  return {
    get,
    put,
    leave: (connection, openOrders) => put(leavingRecord(connection, openOrders)),
    async find({ userId, connectionId }) {
      const names = [
        controlField.connection(connectionId),
        controlField.link(connectionId),
      ] as const
      const [connection, link] = await redis.hmget(controlKey(userId), ...names)
      const record = readRecord(connectionRecord, names[0], connection)
      return record === null
        ? null
        : { connection: record, link: readRecord(linkRecord, names[1], link) }
    },
    async list(userId) {
      const records = await redis.hgetall(controlKey(userId))
      return Object.entries(records).flatMap(([name, text]) => {
        const record = name.startsWith('connection:')
          ? readRecord(connectionRecord, name, text)
          : null
        return record === null ? [] : [record]
      })
    },
  }
}
