import type { z } from 'zod'
import { type closeAllSchema, closeAllTradeId, jobs } from '#contract'
import { positionSideOf } from '#domain'
import type { OrderDeps } from './deps.ts'
import { DONE, type JobResult, type Run } from './job.ts'
import { waitForRecovery } from './recovering.ts'

/**
 * Closes every position that the broker shows on a connection, each by a command of its own: a position that cannot be closed holds up
 * no other. A position that has flipped by then is left alone. @throws {BrokerError}
 */
export async function closeAllPositions(
  deps: OrderDeps,
  command: z.output<typeof closeAllSchema>,
  run: Run,
): Promise<JobResult> {
  const waits = await waitForRecovery(deps, command, run)
  if (waits !== null) return waits
  const { userId, connectionId, commandId } = command
  const { positions } = await (await deps.brokers.get(command)).readPortfolio()
  const skipped: string[] = []
  for (const { symbol, quantity } of positions) {
    const tradeId = closeAllTradeId(connectionId, commandId, symbol)
    const positionSide = positionSideOf({ quantity })
    const close = { userId, connectionId, tradeId, commandId, symbol, positionSide }
    const read = jobs.closePosition.schema.safeParse(close)
    if (read.success) await deps.ask.close(read.data)
    else skipped.push(symbol) // not traded here: an option, say
  }
  const asked = positions.length - skipped.length
  deps.log.info({ userId, connectionId, commandId, positions: asked }, 'close_all.asked')
  if (skipped.length > 0) deps.log.warn({ userId, connectionId, commandId, skipped }, 'close_all.skipped')
  return DONE
}
