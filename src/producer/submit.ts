import type { Job, Queue } from 'bullmq'
import { parametersHash, submitJobId, type SubmitOrder, submitOrderSchema } from '#contract'
import type { Clock } from '#runtime'
import type { Reader } from '#store'
import { assertNamed, assertOrderable, type Door } from './door.ts'
import { TradeIdConflictError } from './errors.ts'
import { available, parse } from './request.ts'

/** Queues a new order; see `Producer.submitOrder`. */
export type SubmitOrderCommand = (
  order: SubmitOrder,
) => Promise<{ tradeId: string; jobId: string; isRepeat: boolean }>

/**
 * The command `submitOrder` over one queue.
 * @throws {InvalidRequestError}
 * @throws {TradeIdConflictError}
 * @throws {UnavailableError}
 */
export const createSubmitOrder =
  (queue: Queue, reader: Reader, door: Door, clock: Clock): SubmitOrderCommand =>
  async (request) => {
    const intent = parse(submitOrderSchema, request)
    const { userId, tradeId, symbol } = intent
    const hash = parametersHash(intent)
    const [known, asset] = await Promise.all([findTrade(reader, intent), door.find(intent, symbol)])
    assertNamed(request.symbol, symbol, asset)
    const jobId = submitJobId(userId, tradeId)
    if (known !== null)
      return { tradeId, jobId, isRepeat: repeats(tradeId, hash, known.parametersHash) }
    const there = await available(queue.getJob(jobId))
    // The record is read after the job: a job that has just ended has written its record by now.
    const isForgotten =
      there?.finishedOn !== undefined && (await available(reader.order(userId, tradeId))) === null
    if (isForgotten) await forget(there, tradeId, hash)
    const waiting = isForgotten ? undefined : there
    const isRepeat = waiting !== undefined
    // If the record was lost, the order may be at the broker, so it is not checked again.
    if (there === undefined) await assertOrderable(door, intent, asset, clock.now())
    if (!isRepeat) await available(queue.add('submitOrder', intent, { jobId }))
    // Two callers may have queued the same trade at once, so the job in the queue decides.
    const queued = waiting ?? (await available(queue.getJob(jobId)))
    if (queued !== undefined) repeats(tradeId, hash, hashOf(queued))
    return { tradeId, jobId, isRepeat }
  }

/** The record of a trade, or the tombstone that outlives the record; `null`: neither. */
export async function findTrade(
  reader: Reader,
  { userId, tradeId }: Readonly<{ userId: string; tradeId: string }>,
): Promise<Readonly<{ parametersHash: string | null }> | null> {
  const [order, tombstone] = await available(
    Promise.all([reader.order(userId, tradeId), reader.tombstone(userId, tradeId)]),
  )
  return order ?? tombstone
}

/**
 * A job that has ended wrote a record. If there is no record, the store lost it with the last
 * second of its writes (RDQ-04). The job is removed, so that the trade is carried out again; if its
 * order is at the broker, the worker finds the order under its id.
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

/**
 * `true` if both hashes are equal, or if the first one is unknown.
 * @throws {TradeIdConflictError} the hashes differ
 */
export function repeats(tradeId: string, asked: string, known: string | null): boolean {
  if (known !== null && known !== asked) throw new TradeIdConflictError(tradeId)
  return true
}
