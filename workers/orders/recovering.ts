import type { ConnectionRef } from '#store'
import { again, type JobResult, type Run } from '../queue/index.ts'
import type { OrderDeps } from './deps.ts'

/**
 * A command that depends on positions waits this long for a recovery of the connection, counted
 * from when the command was queued (FIL-06).
 */
export const RECOVERY_WAIT_MS_MAX = 60_000
const LOOK_MS = 500

/** @returns `null`: go on with the positions as stored now */
export async function waitForRecovery(
  deps: OrderDeps,
  ref: ConnectionRef,
  run: Run,
): Promise<JobResult | null> {
  if (!(await deps.recoveries.isRunning(ref))) return null
  if (deps.clock.now() - run.queuedAtMs < RECOVERY_WAIT_MS_MAX)
    return again(LOOK_MS, 'the account is being read')
  const { userId, connectionId } = ref
  deps.log.warn(
    { userId, connectionId, waitedMs: RECOVERY_WAIT_MS_MAX },
    'command.recovery_not_awaited',
  )
  return null
}
