import { UnrecoverableError } from 'bullmq'
import { type JobName, jobs } from '#contract'
import type { ConnectionRef } from '#store'
import { BrokerError, ConnectionUnusableError, UnverifiedError } from '../broker/index.ts'
import {
  again,
  type Handler,
  type JobResult,
  LockLostError,
  readPayload,
  type Run,
  STORE_LOST,
} from '../queue/index.ts'
import { cancelAll } from './cancel-all.ts'
import { cancelOrder } from './cancel.ts'
import { closeAllPositions } from './close-all.ts'
import { closePosition } from './close.ts'
import { isGone, type OrderDeps } from './deps.ts'
import { CommandRefusedError, TradeConflictError } from './refusal.ts'
import { isCommandName, noteRefusal } from './refusals.ts'
import { replaceOrder } from './replace.ts'
import { resolveOrder } from './resolve-job.ts'
import { submitOrder } from './submit.ts'

/**
 * Pause of a job that waits for a connection's credentials. The job is kept, even if the
 * credentials are wrong.
 */
const UNVERIFIED_MS = 2_000

type Work = (deps: OrderDeps, data: unknown, run: Run) => Promise<JobResult>

const work: Readonly<Record<Exclude<JobName, 'checkConnection' | 'disconnect'>, Work>> = {
  submitOrder: (deps, data, run) =>
    submitOrder(deps, readPayload(jobs.submitOrder.schema, data), run),
  cancelOrder: (deps, data, run) =>
    cancelOrder(deps, readPayload(jobs.cancelOrder.schema, data), run),
  cancelAll: (deps, data, run) => cancelAll(deps, readPayload(jobs.cancelAll.schema, data), run),
  replaceOrder: (deps, data, run) =>
    replaceOrder(deps, readPayload(jobs.replaceOrder.schema, data), run),
  closePosition: (deps, data, run) =>
    closePosition(deps, readPayload(jobs.closePosition.schema, data), run),
  closeAllPositions: (deps, data, run) =>
    closeAllPositions(deps, readPayload(jobs.closeAllPositions.schema, data), run),
  resolveOrder: (deps, data, run) =>
    resolveOrder(deps, readPayload(jobs.resolveOrder.schema, data), run),
}

/** Handler of the `orders` and `commands` queues. */
export const orderHandler =
  (deps: OrderDeps): Handler =>
  async (name, data, run) => {
    if (!Object.hasOwn(work, name))
      throw new UnrecoverableError(`${name} is not a job of this queue; nothing was changed`)
    try {
      return await work[name as keyof typeof work](deps, data, run)
    } catch (error) {
      if (error instanceof LockLostError) throw error
      if (error instanceof BrokerError)
        return again(error.retryAfterMs, `the broker could not be asked: ${error.message}`)
      if (error instanceof UnverifiedError) return again(UNVERIFIED_MS, error.message)
      // The payload was validated before any code could throw this error.
      if (error instanceof ConnectionUnusableError && !(await isGone(deps, data as ConnectionRef)))
        return again(UNVERIFIED_MS, STORE_LOST)
      const isFinal =
        error instanceof TradeConflictError ||
        error instanceof CommandRefusedError ||
        error instanceof ConnectionUnusableError
      if (!isFinal) throw error
      if (isCommandName(name))
        await noteRefusal(deps, name, readPayload(jobs[name].schema, data), error.message)
      throw new UnrecoverableError(error.message)
    }
  }
