import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { connectionIdSchema, disconnectJobId, disconnectSchema, userIdSchema } from '#contract'
import { isoTime, systemClock, systemRandomness } from '#runtime'
import {
  type BrokerConnection,
  type BrokerCredentials,
  type ControlSet,
  createConnections,
  createControls,
  type Health,
  readHealth,
  type Vault,
} from '#store'
import { ConnectionConflictError } from './errors.ts'
import { available, parse } from './request.ts'

/**
 * Links, lists and removes broker accounts.
 * @throws {InvalidRequestError} every method: the request has a wrong field
 * @throws {UnavailableError} every method: Redis did not answer
 */
export interface ConnectionCommands {
  /**
   * Links a broker account. The credentials are sealed before they leave this process. A second
   * call with the same id replaces the credentials: orders are sent with the new credentials only
   * after a worker has verified that they belong to the same account.
   * @throws {ConnectionConflictError} the id belongs to another environment, or its connection is
   *   being removed
   */
  connect(request: ConnectRequest): Promise<{ connectionId: string }>
  /** A user's connections with their standing and health. The result never contains a secret. */
  list(userId: string): Promise<readonly ConnectionView[]>
  /**
   * Removes a connection in the background. From now on no new order is sent on it. `openOrders`
   * decides about the open orders:
   * - `cancel`: the broker is asked to cancel the orders that Fillcast placed; the connection is
   *   removed once none of these orders can execute any more.
   * - `leave`: the orders stay at the broker. A second call with `leave` ends the wait of an
   *   earlier `cancel`.
   *
   * When the removal is complete, the user is sent `error.brokerDisconnected` (code `REMOVED`) and
   * `state.resync`. The credentials and the portfolio of the connection are erased; trade ids stay
   * used.
   * @returns `isKnown`: `false` if the user has no such connection
   */
  disconnect(request: DisconnectRequest): Promise<{ isKnown: boolean }>
}

/** The broker account to link. */
export type ConnectRequest = Readonly<{
  userId: string
  /** Default: a new `broker_...` id. If the id is given, a repeated request is harmless. */
  connectionId?: string
  env: BrokerConnection['env']
  /** A key pair, or an OAuth access token. */
  credentials: BrokerCredentials
}>

/** The connection to remove, and the treatment of its open orders. */
export type DisconnectRequest = Readonly<{
  userId: string
  connectionId: string
  openOrders: 'cancel' | 'leave'
}>

/** One connection of a user. */
export type ConnectionView = Readonly<{
  connectionId: string
  brokerType: BrokerConnection['brokerType']
  env: BrokerConnection['env']
  connectedAt: string
  /**
   * - `verified`: a worker has logged in with these credentials.
   * - `unverified`: no worker has logged in with these credentials, or the broker refused them; no
   *   order is sent.
   * - `leaving`: the connection is being removed.
   */
  standing: 'verified' | 'unverified' | 'leaving'
  /** The broker's own id of the account; `null` until it is known. */
  brokerAccountId: string | null
  health: ConnectionHealth
}>

/**
 * The result of the workers' health checks of a connection.
 * - `unchecked`: no worker has logged in with these credentials yet. `since`: when the account was
 *   linked.
 * - `up`: the last check found no problem. `since`: when the connection came up, `null` if it was
 *   never down.
 * - `down`: `code` is for programs, `reason` for people: `UNUSABLE` (the workers have no vault key
 *   that opens the credentials), `CREDENTIALS` (the broker refused the credentials),
 *   `OTHER_ACCOUNT`, `LINKED_ELSEWHERE`, `ACCOUNT_BLOCKED`, `UNREACHABLE`. `code` is `null` if a
 *   worker of an earlier version wrote the record.
 */
export type ConnectionHealth =
  | Readonly<{ state: 'unchecked'; since: string }>
  | Readonly<{ state: 'up'; since: string | null }>
  | Readonly<{ state: 'down'; since: string; code: string | null; reason: string }>

const secret = z.string().min(1).max(512)
const connectSchema = z.strictObject({
  userId: userIdSchema,
  connectionId: connectionIdSchema.optional(),
  env: z.enum(['paper', 'live', 'sandbox']),
  credentials: z.union(
    [z.strictObject({ keyId: secret, secretKey: secret }), z.strictObject({ accessToken: secret })],
    {
      error: 'give keyId and secretKey, or accessToken',
    },
  ),
})

export function createConnectionCommands(
  redis: Redis,
  vault: Vault,
  queue: Queue,
): ConnectionCommands {
  const connections = createConnections(redis)
  const controls = createControls(redis)
  return {
    async connect(request) {
      const { userId, env, credentials, ...given } = parse(connectSchema, request)
      const connectionId = given.connectionId ?? `broker_${systemRandomness.id(12)}`
      const ref = { userId, connectionId }
      const known = given.connectionId === undefined ? null : await available(connections.get(ref))
      if (known !== null && known.env !== env)
        throw new ConnectionConflictError(connectionId, `is for ${known.env}`)
      if (known?.leaving !== undefined)
        throw new ConnectionConflictError(connectionId, 'is being removed')
      const sealed = await vault.seal(ref, credentials)
      const connectedAt = isoTime(systemClock.now())
      await available(connections.put({ ...ref, brokerType: 'alpaca', env, sealed, connectedAt }))
      return { connectionId }
    },

    async list(userId) {
      const set = await available(controls.read(parse(userIdSchema, userId)))
      const ids = set.connections.map(({ connectionId }) => connectionId)
      const health = await available(readHealth(redis, userId, ids))
      return set.connections.map((connection) =>
        viewOf(connection, set, health.get(connection.connectionId)),
      )
    },

    async disconnect(request) {
      const { openOrders, ...ref } = parse(disconnectSchema, request)
      const known = await available(connections.get(ref))
      if (known === null) return { isKnown: false }
      const { revision } = await available(connections.leave(known, openOrders))
      const jobId = disconnectJobId(ref.userId, ref.connectionId, revision)
      await available(queue.add('disconnect', { ...ref, openOrders }, { jobId }))
      return { isKnown: true }
    },
  }
}

function viewOf(
  connection: BrokerConnection,
  { links }: ControlSet,
  health?: Health,
): ConnectionView {
  const { connectionId, brokerType, env, connectedAt, revision, leaving } = connection
  const link = links.get(connectionId)
  const standing =
    leaving !== undefined ? 'leaving' : link?.verified === revision ? 'verified' : 'unverified'
  return {
    connectionId,
    brokerType,
    env,
    connectedAt,
    standing,
    brokerAccountId: link?.brokerAccountId ?? null,
    health: healthOf(health, standing === 'unverified' ? connectedAt : null),
  }
}

/**
 * @param uncheckedSince when these credentials were given, if no worker has logged in with them;
 *   else `null`
 */
function healthOf(health: Health | undefined, uncheckedSince: string | null): ConnectionHealth {
  if (health?.state === 'down')
    return {
      state: 'down',
      since: health.since,
      code: health.code ?? null,
      reason: health.reason ?? '',
    }
  if (uncheckedSince !== null) return { state: 'unchecked', since: uncheckedSince }
  return { state: 'up', since: health === undefined || health.since === '' ? null : health.since }
}
