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
 * The interface of a trade API to Fillcast. Every method validates the request before it queues
 * anything. To repeat a call with the same ids is safe. Once the producer is disposed, every method
 * rejects with a `ProducerClosedError`.
 */
export interface Producer extends TradeCommands, ControlCommands, AsyncDisposable {
  /**
   * Queues a new order. The promise resolves when the order is queued, not when the broker has it;
   * the user's events report the further progress.
   * @returns `isRepeat`: `true` if the same trade was queued before with the same parameters
   * @throws {InvalidRequestError} naming each wrong field
   * @throws {TradeIdConflictError}
   * @throws {UnavailableError}
   */
  submitOrder: SubmitOrderCommand
  /** Links, lists and removes broker accounts. */
  connections: ConnectionCommands
  /** Ends sessions and checks tokens. */
  sessions: SessionCommands
  orders: {
    /**
     * The current order of a trade, with every command for it and the command's result. `null` if
     * no worker has started the trade yet, or if its archive has expired. Status `waiting`: the
     * order cannot be sent for now; `reason` is the cause, and `since` the time when it was first
     * parked.
     * @throws {InvalidRequestError} an id is malformed
     * @throws {UnavailableError}
     */
    get(userId: string, tradeId: string): Promise<OrderView | WaitingOrder | null>
  }
}

const KEEP_COMPLETED = { age: 86_400, count: 10_000 } as const
const KEEP_FAILED = { age: 7 * 86_400, count: 10_000 } as const
/**
 * Attempts of one job, with increasing pauses, about a quarter of an hour in all. If a claimed
 * order's job fails for good, the order's record still leads to its outcome.
 */
const ATTEMPTS_MAX = 12
const JOB_BYTES_MAX = 16_384

const tradeSchema = z.strictObject({ userId: userIdSchema, tradeId: tradeIdSchema })

/**
 * Connects to Redis; the returned producer is ready to queue. From then on a call fails with
 * `UnavailableError` as soon as Redis leaves one of its commands unanswered for 5 s. The connection
 * is replaced in the background.
 * @throws {InvalidRequestError} naming each option that is wrong
 * @throws when Redis does not answer within 10 s; the connection is closed again
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
 * Resolves once the queue knows the version of Redis. The queue requests the version once; without
 * an answer it would never work.
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
