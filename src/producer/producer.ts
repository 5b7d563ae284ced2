import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { type QueueName, queues, tradeIdSchema, userIdSchema } from '#contract'
import { connectRedis, type Logger, redisReady, systemClock } from '#runtime'
import { createAssetReader, createConnections, createReader, createVault } from '#store'
import { untilClosed } from './closing.ts'
import { createTradeCommands, type TradeCommands } from './commands.ts'
import { type ConnectionCommands, createConnectionCommands } from './connections.ts'
import { type ControlCommands, createControlCommands } from './controls.ts'
import { createDoor } from './door.ts'
import { type ProducerOptions, readOptions } from './options.ts'
import { available, parse } from './request.ts'
import { createSessionCommands, type SessionCommands } from './sessions.ts'
import { type OrderView, shownOrder, type WaitingOrder } from './shown-order.ts'
import { createSubmitOrder, type SubmitOrderCommand } from './submit.ts'

/**
 * What a trade API enqueues with. Every method validates first and queues second; repeating a call
 * with the same ids is safe. Once the producer is disposed, every method rejects with a
 * `ProducerClosedError`.
 */
export interface Producer extends TradeCommands, ControlCommands, AsyncDisposable {
  /**
   * Queues a new order. Resolves when it is queued, not when the broker has it: the user's events
   * tell the rest.
   * @returns `isRepeat` when the same trade was there already, with the same parameters
   * @throws {InvalidRequestError} naming each wrong field
   * @throws {TradeIdConflictError}
   * @throws {UnavailableError}
   */
  submitOrder: SubmitOrderCommand
  connections: ConnectionCommands
  sessions: SessionCommands
  orders: {
    /**
     * The order of a trade as it stands, with every command that was given for it and what became
     * of each; `null` when no worker has taken the trade yet, or its archive has expired.
     * `waiting`: it cannot be sent for now; `reason` says why, and `since` when it was first
     * parked.
     * @throws {InvalidRequestError} an id that no order can have
     * @throws {UnavailableError}
     */
    get(userId: string, tradeId: string): Promise<OrderView | WaitingOrder | null>
  }
}

const KEEP_COMPLETED = { age: 86_400, count: 10_000 } as const
const KEEP_FAILED = { age: 7 * 86_400, count: 10_000 } as const
/**
 * Tries of one job, with ever longer pauses, about a quarter of an hour in all; what was claimed is
 * followed whatever becomes of it.
 */
const ATTEMPTS_MAX = 12
const JOB_BYTES_MAX = 16_384

const tradeSchema = z.strictObject({ userId: userIdSchema, tradeId: tradeIdSchema })

/**
 * Connects to Redis and is ready to queue. From then on each call fails with `UnavailableError` as
 * soon as Redis leaves one of its commands unanswered for 5 s; the connection is replaced in the
 * background.
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
  const door = createDoor(createAssetReader(redis), createConnections(redis), reader)
  let isClosed = false
  const commands: Omit<Producer, typeof Symbol.asyncDispose> = {
    ...createControlCommands(redis, systemClock, log),
    submitOrder: createSubmitOrder(queue.orders, reader, door, systemClock),
    ...createTradeCommands(queue, reader, door),

    connections: createConnectionCommands(redis, createVault(vaultKeys), queue.connections),
    sessions: createSessionCommands(redis),

    orders: {
      async get(userId, tradeId) {
        const asked = parse(tradeSchema, { userId, tradeId })
        const { userId: of, tradeId: id } = asked
        const [order, parked] = await available(
          Promise.all([reader.order(of, id), reader.parked(of, id)]),
        )
        return shownOrder(order, parked)
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

/**
 * Resolves once the queue knows the version of Redis: it asks once, and without an answer would
 * never work.
 */
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
