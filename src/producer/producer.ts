import { type Job, Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import {
  parametersHash,
  type QueueName,
  queues,
  type SubmitOrder,
  submitJobId,
  submitOrderSchema,
  tradeIdSchema,
  userIdSchema,
} from '#contract'

import type { Order } from '#domain'
import { connectRedis, type Logger, redisReady, systemClock } from '#runtime'
import { createAssetReader, createConnections, createReader, createVault } from '#store'
import { createTradeCommands, type TradeCommands } from './commands.ts'
import { untilClosed } from './closing.ts'
import { type ConnectionCommands, createConnectionCommands } from './connections.ts'
import { type ControlCommands, createControlCommands } from './controls.ts'
import { assertNamed, createDoor } from './door.ts'
import { TradeIdConflictError } from './errors.ts'
import { type ProducerOptions, readOptions } from './options.ts'
import { available, parse } from './request.ts'
import { createSessionCommands, type SessionCommands } from './sessions.ts'

/**
 * What a trade API enqueues with. Every method validates first and queues second; repeating a call with the same ids is safe. Once the
 * producer is disposed, every method rejects with a `ProducerClosedError`.
 */
export interface Producer extends TradeCommands, ControlCommands, AsyncDisposable {
  /**
   * Queues a new order. Resolves when it is queued, not when the broker has it: the user's events tell the rest.
   * @returns `isRepeat` when the same trade was there already, with the same parameters
   * @throws {InvalidRequestError} naming each wrong field  @throws {TradeIdConflictError}  @throws {UnavailableError}
   */
  submitOrder(order: SubmitOrder): Promise<{ tradeId: string; jobId: string; isRepeat: boolean }>
  connections: ConnectionCommands
  sessions: SessionCommands
  orders: {
    /**
     * The order of a trade as it stands, or `null` when no worker has taken it yet.
     * @throws {InvalidRequestError} an id that no order can have  @throws {UnavailableError}
     */
    get(userId: string, tradeId: string): Promise<Order | null>
  }
}

const KEEP_COMPLETED = { age: 86_400, count: 10_000 } as const
const KEEP_FAILED = { age: 7 * 86_400, count: 10_000 } as const
/** Tries of one job, with ever longer pauses, about a quarter of an hour in all; what was claimed is followed whatever becomes of it. */
const ATTEMPTS_MAX = 12
const JOB_BYTES_MAX = 16_384

const tradeSchema = z.strictObject({ userId: userIdSchema, tradeId: tradeIdSchema })

/**
 * Connects to Redis and is ready to queue. From then on each call fails with `UnavailableError` as soon as Redis leaves one of its
 * commands unanswered for 5 s; the connection is replaced in the background.
 * @throws {InvalidRequestError} naming each option that is wrong
 * @throws when Redis does not answer within 10 s; nothing is left behind
 */
export async function createProducer(options: ProducerOptions): Promise<Producer> {
  const { redisUrl, vaultKeys, log } = readOptions(options)
  const redis = connectRedis(redisUrl, 'prompt', log)
  const open = async () => ({
    orders: await openQueue('orders', redis, log),
    commands: await openQueue('commands', redis, log),
    connections: await openQueue('connections', redis, log),
  })
  const queue = await redisReady(redis, open).catch((error: unknown) => {
    redis.disconnect()
    throw error
  })
  const reader = createReader(redis)
  const door = createDoor(createAssetReader(redis), createConnections(redis))
  let isClosed = false
  const commands: Omit<Producer, typeof Symbol.asyncDispose> = {
    ...createControlCommands(redis, systemClock, log),
    async submitOrder(request) {
      const intent = parse(submitOrderSchema, request)
      const { userId, tradeId, symbol } = intent
      const hash = parametersHash(intent)
      const [known, asset] = await Promise.all([available(reader.order(userId, tradeId)), door.find(intent, symbol)])
      assertNamed(request.symbol, symbol, asset)
      if (known !== null)
        return { tradeId, jobId: submitJobId(userId, tradeId), isRepeat: repeats(tradeId, hash, known.parametersHash) }
      const jobId = submitJobId(userId, tradeId)
      const there = await available(queue.orders.getJob(jobId))
      // Read behind the job: one that has just come to its end has its record now.
      const isForgotten = there?.finishedOn !== undefined && (await available(reader.order(userId, tradeId))) === null
      if (isForgotten) await forget(there, tradeId, hash)
      const waiting = isForgotten ? undefined : there
      const isRepeat = waiting !== undefined
      if (!isRepeat) await available(queue.orders.add('submitOrder', intent, { jobId }))
      // Two callers may have been here at once: what lies in the queue now decides.
      const queued = waiting ?? (await available(queue.orders.getJob(jobId)))
      if (queued !== undefined) repeats(tradeId, hash, hashOf(queued))
      return { tradeId, jobId, isRepeat }
    },

    ...createTradeCommands(queue.commands, door),

    connections: createConnectionCommands(redis, createVault(vaultKeys), queue.connections),
    sessions: createSessionCommands(redis),

    orders: {
      async get(userId, tradeId) {
        const asked = parse(tradeSchema, { userId, tradeId })
        return available(reader.order(asked.userId, asked.tradeId))
      },
    },
  }
  return {
    ...untilClosed(commands, () => isClosed),
    async [Symbol.asyncDispose]() {
      isClosed = true
      await Promise.allSettled(Object.values(queue).map((one) => one.close()))
      redis.disconnect()
    },
  }
}

/** Resolves once the queue knows the version of Redis: it asks once, and without an answer would never work. */
async function openQueue(which: QueueName, redis: Redis, log: Logger): Promise<Queue> {
  const { name, prefix } = queues[which]
  const queue = new Queue(name, {
    connection: redis,
    prefix,
    skipWaitingForReady: true,
    defaultJobOptions: {
      attempts: ATTEMPTS_MAX,
      backoff: { type: 'exponential', delay: 200, jitter: 0.5 },
      removeOnComplete: KEEP_COMPLETED,
      removeOnFail: KEEP_FAILED,
      sizeLimit: JOB_BYTES_MAX,
    },
  })
  queue.on('error', (error) => log.warn({ queue: name, error }, 'queue.error'))
  await queue.waitUntilReady()
  return queue
}

/**
 * A job that has come to its end wrote a record; where there is none, the store lost it with the last second of its writes (RDQ-04). The
 * job is taken away, so that the trade is worked on again; whatever of it is at the broker is found under its id.
 * @throws {TradeIdConflictError}
 */
async function forget(job: Job, tradeId: string, hash: string): Promise<void> {
  repeats(tradeId, hash, hashOf(job))
  await available(job.remove())
}

function hashOf(job: Job): string | null {
  const read = submitOrderSchema.safeParse(job.data)
  return read.success ? parametersHash(read.data) : null
}

/** `true` when both ask for the same. @throws {TradeIdConflictError} when they do not */
function repeats(tradeId: string, asked: string, known: string | null): boolean {
  if (known !== null && known !== asked) throw new TradeIdConflictError(tradeId)
  return true
}
