import type { Redis } from 'ioredis'
import type { BrokerConnection } from './connections.ts'
import { controlField, controlIndexKey, controlKey, linkedAccountsKey } from './keys.ts'
import { firstVersion, readRecord } from './records.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/**
 * The broker account that a connection leads to: found out by logging in, never told by the user.
 *
 *   (none) --logged in--> verified --other credentials, or these refused--> unverified --logged in, same account--> verified
 *
 * Kept true: one account is linked to one connection of one user (MUL-06); a link never moves to another account (MUL-02); an order
 * is sent only while `verified` is the revision of the connection's credentials, which the commit script checks.
 */
export type Link = Readonly<{
  schema: 1
  env: BrokerConnection['env']
  brokerAccountId: string
  /** Revision of the credentials that were seen to lead there; '' while they are refused. */
  verified: string
  /** Grows with every change of the record. */
  revision: string
}>

/** What became of a login. `other_account`: the connection belongs to another one; `linked_elsewhere`: another connection has it. */
export type LinkOutcome = 'verified' | 'other_account' | 'linked_elsewhere'

export interface Links {
  get(ref: ConnectionRef): Promise<Link | null>
  /** The credentials of `connection` lead to this account. Harmless when repeated. */
  verify(connection: BrokerConnection, brokerAccountId: string): Promise<LinkOutcome>
  /** The credentials do not lead to the account (any more): nothing is sent until others do. Harmless when repeated. */
  suspend(ref: ConnectionRef): Promise<void>
}

export const linkRecord = firstVersion<Link>()

/** How an account is named in the index of all linked ones. */
export const accountName = (env: BrokerConnection['env'], brokerAccountId: string): string =>
  `${env}:${brokerAccountId}`

export function createLinks(connection: Redis): Links {
  const redis = withScripts(connection)
  const get = async ({ userId, connectionId }: ConnectionRef): Promise<Link | null> => {
    const name = controlField.link(connectionId)
    return readRecord(linkRecord, name, await redis.hget(controlKey(userId), name))
  }
  const put = async ({ userId, connectionId }: ConnectionRef, link: Omit<Link, 'revision'>): Promise<void> => {
    const text = JSON.stringify(link)
    const revision = await redis.controlPut(controlKey(userId), controlField.link(connectionId), text)
    await redis.zadd(controlIndexKey, 'GT', revision, userId)
  }
  return {
    get,
    async verify(connection, brokerAccountId) {
      const { userId, connectionId, env, revision } = connection
      const known = await get(connection)
      const isSame = known?.brokerAccountId === brokerAccountId && known.env === env
      if (known !== null && !isSame) return 'other_account'
      const holder = `${userId} ${connectionId}`
      const account = accountName(env, brokerAccountId)
      if ((await redis.accountLink(linkedAccountsKey, account, holder, 'link')) !== holder) return 'linked_elsewhere'
      if (known?.verified !== revision) await put(connection, { schema: 1, env, brokerAccountId, verified: revision })
      return 'verified'
    },
    async suspend(ref) {
      const known = await get(ref)
      if (known === null || known.verified === '') return
      const { schema, env, brokerAccountId } = known
      await put(ref, { schema, env, brokerAccountId, verified: '' })
    },
  }
}
