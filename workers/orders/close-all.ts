import type { z } from 'zod'
import { type closeAllSchema, closeAllTradeId, jobs } from '#contract'
import { positionSideOf } from '#domain'
import { again, DONE, type JobResult, type Run } from '../queue/index.ts'
import { BOOKED_MS_MAX } from './close.ts'
import { coversPosition } from './covered.ts'
import type { OrderDeps } from './deps.ts'
import { waitForRecovery } from './recovering.ts'

const LOOK_MS = 500

/**
 * Closes every position that the broker shows on a connection and that was open when the command
 * was given, each by a command of its own: a position that cannot be closed delays no other
 * position. A position that has flipped by then is left alone.
 * @throws {BrokerError}
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
  const known = await deps.writer.store.loadConnection(userId, connectionId)
  const skipped: string[] = []
  let asked = 0
  const unbooked = positions.filter(({ symbol }) => !known.positions.has(symbol))
  const isBehind = unbooked.length > 0 && deps.clock.now() - run.queuedAtMs < BOOKED_MS_MAX
  for (const { symbol, quantity } of positions) {
    const position = known.positions.get(symbol)
    if (position === undefined ? isBehind : !coversPosition(position, run)) continue
    const tradeId = closeAllTradeId(connectionId, commandId, symbol)
    const positionSide = positionSideOf({ quantity })
    const read = jobs.closePosition.schema.safeParse({
      userId,
      connectionId,
      tradeId,
      commandId,
      symbol,
      positionSide,
    })
    if (read.success) {
      await deps.jobQueue.close(read.data)
      asked += 1
    } else skipped.push(symbol) // not traded here: an option, say
  }
  deps.log.info({ userId, connectionId, commandId, positions: asked }, 'close_all.asked')
  if (skipped.length > 0)
    deps.log.warn({ userId, connectionId, commandId, skipped }, 'close_all.skipped')
  return isBehind ? again(LOOK_MS, 'the broker holds what was not booked yet') : DONE
}
