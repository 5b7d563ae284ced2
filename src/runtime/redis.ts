import type { Socket } from 'node:net'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { afterThisTurn, systemClock } from './clock.ts'
import { ConfigError, FillcastError } from './errors.ts'
import type { Logger } from './logger.ts'
import { readRedisAddress, type RedisAddress } from './redis-address.ts'
import { HEARTBEAT_LIMITS, type HeartbeatLimits, watchLink } from './redis-heartbeat.ts'

/**
 * How a connection behaves while Redis is away.
 * - `patient`: commands wait for Redis to come back. For workers, which cannot work without Redis.
 * - `subscriber`: as `patient`, for a connection that only listens. It is ready as soon as it is
 *   connected: the usual check whether Redis has loaded its data must not be sent once the first
 *   channel is subscribed, because its refusal would end the process.
 * - `prompt`: commands fail at once, and within `COMMAND_MS_MAX` if Redis is silent. For code whose
 *   caller prefers an error now to a late answer.
 */
export type RedisPatience = 'patient' | 'subscriber' | 'prompt'

const RECONNECT_DELAY_MS_MAX = 2_000
const CONNECT_TIMEOUT_MS = 5_000
/** How long a connection is idle before the system checks the other end (TCP keep-alive). */
const KEEP_ALIVE_MS = 10_000
/** The time in which a connection that is being closed may still send its pending data. */
const DISCONNECT_MS_MAX = 1_000
/**
 * The interval at which a connection asks Redis for the progress of loading its data, so that a
 * connection that waits for the loading does not look silent.
 */
const LOADING_LOOK_MS = 1_000
/** The most time for a command on a `prompt` connection, and for an answer of a Sentinel. */
const COMMAND_MS_MAX = 5_000
const SENTINEL_MS_MAX = 2_000
/** How long after its connection to a Sentinel was lost the failover detector makes another one. */
const SENTINEL_AGAIN_MS = 5_000

const byPatience: Record<RedisPatience, RedisOptions & { enableOfflineQueue: boolean }> = {
  patient: { maxRetriesPerRequest: null, enableOfflineQueue: true },
  subscriber: { maxRetriesPerRequest: null, enableOfflineQueue: true, enableReadyCheck: false },
  prompt: { maxRetriesPerRequest: 1, enableOfflineQueue: false, commandTimeout: COMMAND_MS_MAX },
}

/**
 * Makes one connection to Redis that reconnects for ever, and that logs its errors rather than
 * throwing them. With a Cluster it is one connection to all nodes, which answers the same commands;
 * a `subscriber` connects to any node, since every node passes on every message. A connection that
 * goes silent is replaced, and so are its duplicates (`watchLink`).
 * @param url one of the forms of `readRedisAddress`
 * @throws {ConfigError} `url` has none of these forms
 */
export function connectRedis(
  url: string,
  patience: RedisPatience,
  log: Logger,
  limits: HeartbeatLimits = HEARTBEAT_LIMITS,
): Redis {
  const address = readRedisAddress(url)
  if (address === null) throw new ConfigError('The URL of Redis is not valid')
  const redis = connectionTo(address, patience)
  redis.on('error', (error: Error) => log.warn({ error }, 'redis.error'))
  return watchLink(redis, limits, log)
}

/**
 * The commands of one turn of the event loop leave in one write. ioredis makes a write for each
 * command, and a busy worker issues dozens in a turn, since their answers come together too.
 * ioredis's own way to join commands (`enableAutoPipelining`) costs more, lets other commands
 * overtake, and fails commands that a lost connection cut in half; here the bytes and their order
 * do not change.
 */
function sendTogether(redis: Redis): Redis {
  redis.on('connect', () => {
    const { stream } = redis as unknown as { stream: Socket }
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    let isHeld = false
    const release = (): void => {
      isHeld = false
      stream.uncork()
    }
    stream.write = (...args: unknown[]): boolean => {
      if (!isHeld) {
        isHeld = true
        stream.cork()
        afterThisTurn(release)
      }
      return write(...args)
    }
  })
  return redis
}

const retryDelayMs = (attempt: number): number =>
  Math.min(50 * 2 ** Math.min(attempt, 6), RECONNECT_DELAY_MS_MAX)

function connectionTo(address: RedisAddress, patience: RedisPatience): Redis {
  const { kind, isTls, username, password, nodes, name, db } = address
  const { enableOfflineQueue, ...commands } = byPatience[patience]
  const perServer = {
    ...commands,
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(isTls ? { tls: {} } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_MS_MAX,
    keepAlive: KEEP_ALIVE_MS,
    maxLoadingRetryTime: LOADING_LOOK_MS,
  }
  const options = { ...perServer, enableOfflineQueue, db, retryStrategy: retryDelayMs }
  if (kind === 'single') return sendTogether(new Redis({ ...options, ...nodes[0] }))
  if (kind === 'sentinel') {
    const sentinels = {
      sentinels: [...nodes],
      enableTLSForSentinelMode: isTls,
      sentinelCommandTimeout: SENTINEL_MS_MAX,
      sentinelRetryStrategy: retryDelayMs,
      sentinelReconnectStrategy: () => SENTINEL_AGAIN_MS,
      failoverDetector: true,
    }
    return sendTogether(new Redis({ ...options, ...sentinels, name }))
  }
  if (patience === 'subscriber') return connectToAny(nodes, options)
  const whole = { redisOptions: perServer, enableOfflineQueue, clusterRetryStrategy: retryDelayMs }
  return new Cluster([...nodes], whole).on('+node', sendTogether) as unknown as Redis
}

/** Tries one node after the other, until one answers. */
function connectToAny(nodes: RedisAddress['nodes'], options: RedisOptions): Redis {
  let next = 0
  const redis: Redis = new Redis({
    ...options,
    ...nodes[0],
    retryStrategy(attempt) {
      next = (next + 1) % nodes.length
      Object.assign(redis.options, nodes[next])
      return retryDelayMs(attempt)
    },
  })
  return redis
}

/** Redis did not answer when a process started. */
class RedisAwayError extends FillcastError<'REDIS_AWAY'> {
  constructor(waitedMs: number) {
    super(
      'REDIS_AWAY',
      `Redis did not answer within ${waitedMs / 1_000} s: check REDIS_URL, and that the server runs`,
    )
  }
}

/** The most time that a process waits for Redis when it starts. */
const START_MS_MAX = 10_000

/** Resolves once `redis` answers. @throws {RedisAwayError} no answer within 10 s */
export async function redisReady(redis: Redis): Promise<void>
/**
 * Resolves with the result of `prepare`, once `redis` answers and `prepare` is done.
 * @throws {RedisAwayError} no answer within 10 s
 */
export async function redisReady<T>(redis: Redis, prepare: () => Promise<T>): Promise<T>
export async function redisReady(
  redis: Redis,
  prepare = (): Promise<unknown> => Promise.resolve(),
): Promise<unknown> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const cancel = systemClock.after(START_MS_MAX, () => reject(new RedisAwayError(START_MS_MAX)))
  const ready = async (): Promise<unknown> => {
    if (redis.status !== 'ready') await new Promise<void>((resolve) => redis.once('ready', resolve))
    return prepare()
  }
  try {
    return await Promise.race([ready(), late])
  } finally {
    cancel()
  }
}

/** Redis may evict keys when its memory is full: an order's record, or a halt. */
class RedisEvictsError extends FillcastError<'REDIS_EVICTS'> {
  constructor(policy: string) {
    super(
      'REDIS_EVICTS',
      `Redis evicts keys when its memory is full (${policy}): set maxmemory-policy to noeviction`,
    )
  }
}

/**
 * Refuses a Redis that would lose records silently (RDQ-07). A server that does not report its
 * policy is trusted.
 * @throws {RedisEvictsError}
 */
export async function assertKeepsEverything(redis: Redis): Promise<void> {
  const [, policy = 'noeviction'] =
    /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory')) ?? []
  if (policy !== 'noeviction') throw new RedisEvictsError(policy)
}
