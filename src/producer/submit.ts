import type { Job, Queue } from 'bullmq'
import { parametersHash, submitJobId, type SubmitOrder, submitOrderSchema } from '#contract'
import type { Clock } from '#runtime'
import type { Reader } from '#store'
import { assertNamed, assertOrderable, type Door } from './door.ts'
import { TradeIdConflictError } from './errors.ts'
import { available, parse } from './request.ts'

export type SubmitOrderCommand = (
  order: SubmitOrder,
) => Promise<{ tradeId: string; jobId: string; isRepeat: boolean }>

/** @throws {InvalidRequestError} @throws {TradeIdConflictError} @throws {UnavailableError} */
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
    // Read behind the job: one that has just come to its end has its record now.
    const isForgotten =
      there?.finishedOn !== undefined && (await available(reader.order(userId, tradeId))) === null
    if (isForgotten) await forget(there, tradeId, hash)
    const waiting = isForgotten ? undefined : there
    const isRepeat = waiting !== undefined
    // A trade whose record was lost may be at the broker: it is not judged anew.
    if (there === undefined) await assertOrderable(door, intent, asset, clock.now())
    if (!isRepeat) await available(queue.add('submitOrder', intent, { jobId }))
    // Two callers may have been here at once: what lies in the queue now decides.
    const queued = waiting ?? (await available(queue.getJob(jobId)))
    if (queued !== undefined) repeats(tradeId, hash, hashOf(queued))
    return { tradeId, jobId, isRepeat }
  }

/** What is known of a trade: its record, or the tombstone that outlives the record. */
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
 * A job that has come to its end wrote a record; where there is none, the store lost it with the
 * last second of its writes (RDQ-04). The job is taken away, so that the trade is worked on again;
 * whatever of it is at the broker is found under its id.
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
export function repeats(tradeId: string, asked: string, known: string | null): boolean {
  if (known !== null && known !== asked) throw new TradeIdConflictError(tradeId)
  return true
}
