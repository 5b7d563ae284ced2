import type { Redis } from 'ioredis'
import { controlField, controlIndexKey, controlKey, linkedAccountsKey } from './keys.ts'
import type { BrokerConnection, Link } from './record-types.ts'
import { firstVersion, readRecord } from './records.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/**
 * The result of a login. `other_account`: the connection belongs to another account;
 * `linked_elsewhere`: another connection has the account; `outdated`: the connection got other
 * credentials meanwhile, or was removed.
 */
export type LinkOutcome = 'verified' | 'other_account' | 'linked_elsewhere' | 'outdated'

export interface Links {
  get(ref: ConnectionRef): Promise<Link | null>
  /** The credentials of `connection` lead to this account. Harmless when repeated. */
  verify(connection: BrokerConnection, brokerAccountId: string): Promise<LinkOutcome>
  /**
   * The credentials of `connection` no longer lead to an account: no order is sent until other
   * credentials do. No effect if the connection got other credentials meanwhile.
   */
  suspend(connection: BrokerConnection): Promise<void>
}

export const linkRecord = firstVersion<Link>()

/** The name of an account in the index of all linked accounts. */
export const accountName = (env: BrokerConnection['env'], brokerAccountId: string): string =>
  `${env}:${brokerAccountId}`

/**
 * The revision of the record with which the credentials of a connection came: a removal changes the
 * record, and keeps the credentials.
 */
export const credentialsOf = ({ leaving, revision }: BrokerConnection): string =>
  leaving?.from ?? revision

export function createLinks(connection: Redis): Links {
  const redis = withScripts(connection)
  const get = async ({ userId, connectionId }: ConnectionRef): Promise<Link | null> => {
    const name = controlField.link(connectionId)
    return readRecord(linkRecord, name, await redis.hget(controlKey(userId), name))
  }
  /**
   * @returns `false`: the record of the connection has changed, or is gone, so the link was not
   *   written
   */
  const put = async (
    connection: BrokerConnection,
    link: Omit<Link, 'revision'>,
  ): Promise<boolean> => {
    const { userId, connectionId } = connection
    const guard = [controlField.connection(connectionId), connection.revision] as const
    const name = controlField.link(connectionId)
    const revision = await redis.controlPut(
      controlKey(userId),
      name,
      JSON.stringify(link),
      ...guard,
    )
    if (revision === '') return false
    await redis.zadd(controlIndexKey, 'GT', revision, userId)
    return true
  }
  const isThere = async ({ userId, connectionId }: ConnectionRef): Promise<boolean> =>
    (await redis.hexists(controlKey(userId), controlField.connection(connectionId))) === 1
  /**
   * Takes the account for the connection. @returns the user and connection that hold the account
   */
  const take = ({ userId, connectionId }: ConnectionRef, account: string): Promise<string> =>
    redis.accountLink(linkedAccountsKey, account, `${userId} ${connectionId}`, 'link')
  /**
   * Frees the account of a connection that was removed while the broker was asked. Otherwise the
   * account would stay taken in the connection's name, and no other connection could link it.
   */
  const free = async (ref: ConnectionRef, account: string): Promise<void> => {
    await redis.accountLink(
      linkedAccountsKey,
      account,
      `${ref.userId} ${ref.connectionId}`,
      'unlink',
    )
    const link = await get(ref)
    // The connection was linked again meanwhile.
    if (link !== null && accountName(link.env, link.brokerAccountId) === account)
      await take(ref, account)
  }
  return {
    get,
    async verify(connection, brokerAccountId) {
      const { userId, connectionId, env } = connection
      const verified = credentialsOf(connection)
      const link = { schema: 1, env, brokerAccountId, verified } as const
      const known = await get(connection)
      const isSame = known?.brokerAccountId === brokerAccountId && known.env === env
      if (known !== null && !isSame) return 'other_account'
      const holder = `${userId} ${connectionId}`
      const account = accountName(env, brokerAccountId)
      if ((await take(connection, account)) !== holder) return 'linked_elsewhere'
      // The account is taken before the record is checked. A removal frees only accounts that were
      // taken before it; so if the connection is gone now, the account is freed here.
      const isPut = known?.verified === verified || (await put(connection, link))
      const isGone = !(await isThere(connection))
      if (isGone) await free(connection, account)
      return isPut && !isGone ? 'verified' : 'outdated'
    },
    async suspend(connection) {
      const known = await get(connection)
      if (known === null || known.verified === '') return
      const { schema, env, brokerAccountId } = known
      await put(connection, { schema, env, brokerAccountId, verified: '' })
    },
  }
}
