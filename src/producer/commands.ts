import type { Queue } from 'bullmq'
import type { z } from 'zod'
import {
  type CancelAll,
  cancelAllJobId,
  cancelAllSchema,
  type CancelOrder,
  cancelOrderSchema,
  closeAllJobId,
  type CloseAllPositions,
  closeAllSchema,
  closeHash,
  type ClosePosition,
  closePositionSchema,
  commandJobId,
  type CommandName,
  contentHash,
  type JobName,
  jobs,
  type ReplaceOrder,
  replaceOrderSchema,
  submitJobId,
} from '#contract'
import type { Reader } from '#store'
import { assertNamed, type Door } from './door.ts'
import { CommandIdConflictError, TradeIdConflictError } from './errors.ts'
import { available, parse } from './request.ts'
import { findTrade, repeats } from './submit.ts'

/**
 * What can be asked of trades that are there. The same `commandId` again is the same command, a
 * second one another; the same one with another content is a `CommandIdConflictError`, and then
 * nothing was queued.
 */
export interface TradeCommands {
  /** Queues a cancel of what is left of a trade, its exits included. */
  cancelOrder(command: CancelOrder): Promise<{ jobId: string }>
  /**
   * Queues a cancel of every open order that was placed here, on one connection; of one symbol,
   * where it is named.
   */
  cancelAll(command: CancelAll): Promise<{ jobId: string }>
  /**
   * Queues a change of an open order, or of one of its exits. What became of it is read back from
   * the order (`commands`, by `commandId`); the user hears `trade.replaced` when it took place.
   */
  replaceOrder(command: ReplaceOrder): Promise<{ jobId: string }>
  /**
   * Queues the close of a position, or of part of it, by a market order of its own, sized when it
   * is sent by what the broker says is available. `tradeId` names that order; as any trade id it is
   * used once. With `positionSide` (`long` or `short`) only a position on that side is closed:
   * where it is flat or has flipped by then, the user hears `trade.rejected` (`NOTHING_TO_CLOSE`).
   * With `limitPrice` the close is a limit order; with `extendedHours` as well it may execute
   * before and after the regular session.
   * @throws {TradeIdConflictError} the trade id was used for another order, or for a close of
   *   something else
   */
  closePosition(command: ClosePosition): Promise<{ tradeId: string; jobId: string }>
  /**
   * Queues the close of every position that the broker shows on one connection when the command is
   * carried out, each by a market order as of `closePosition`, under the trade id
   * `closeAllTradeId(connectionId, commandId, symbol)`. Open orders are left: cancel them first, or
   * the shares that they reserve stay. What cannot be traded here (options) stays, and is named in
   * the workers' log.
   */
  closeAllPositions(command: CloseAllPositions): Promise<{ jobId: string }>
}

type Command = Readonly<{ userId: string; commandId: string }>

/**
 * @throws {InvalidRequestError}
 * @throws {CommandIdConflictError}
 * @throws {UnavailableError} each of them
 */
export function createTradeCommands(
  queues: Readonly<{ orders: Queue; commands: Queue }>,
  reader: Reader,
  door: Door,
): TradeCommands {
  const queue = queues.commands
  const ask = async (
    name: JobName,
    command: Command,
    jobId: string,
  ): Promise<{ jobId: string }> => {
    await available(queue.add(name, command, { jobId }))
    // Of a repeat nothing was added: the job in the queue is the one that counts.
    const queued = await available(queue.getJob(jobId))
    if (queued !== undefined && !asksFor(name, queued.data, command))
      throw new CommandIdConflictError(command.commandId)
    return { jobId }
  }
  const askOfTrade = (name: CommandName, command: Command & Readonly<{ tradeId: string }>) =>
    ask(name, command, commandJobId(name, command.userId, command.tradeId, command.commandId))
  return {
    async cancelOrder(request) {
      const command = parse(cancelOrderSchema, request)
      return askOfTrade('cancelOrder', command)
    },
    async cancelAll(request) {
      const command = parse(cancelAllSchema, request)
      if (command.symbol !== null && command.symbol !== request.symbol)
        assertNamed(request.symbol, command.symbol, await door.find(command, command.symbol))
      return ask(
        'cancelAll',
        command,
        cancelAllJobId(command.userId, command.connectionId, command.commandId),
      )
    },
    async replaceOrder(request) {
      const command = parse(replaceOrderSchema, request)
      return askOfTrade('replaceOrder', command)
    },
    async closePosition(request) {
      const command = parse(closePositionSchema, request)
      if (command.symbol !== request.symbol)
        assertNamed(request.symbol, command.symbol, await door.find(command, command.symbol))
      await prepareClose(queues, reader, command)
      return { tradeId: command.tradeId, ...(await askOfTrade('closePosition', command)) }
    },
    async closeAllPositions(request) {
      const command = parse(closeAllSchema, request)
      const { userId, connectionId, commandId } = command
      return ask('closeAllPositions', command, closeAllJobId(userId, connectionId, commandId))
    },
  }
}

/** Whether a queued payload says the same as a command, however an earlier version wrote it. */
function asksFor(name: JobName, queued: unknown, command: Command): boolean {
  const read = jobs[name].schema.safeParse(queued)
  return read.success && contentHash(read.data) === contentHash(command)
}

/**
 * A close is a trade: its id may not have been used for another. A close whose job has come to its
 * end without a record was lost with the last second of the store's writes (RDQ-04): the job is
 * taken away, so that the close is worked on again.
 * @throws {TradeIdConflictError}
 */
async function prepareClose(
  queues: Readonly<{ orders: Queue; commands: Queue }>,
  reader: Reader,
  command: z.output<typeof closePositionSchema>,
): Promise<void> {
  const { userId, tradeId, commandId } = command
  const [known, submit, close] = await Promise.all([
    findTrade(reader, command),
    available(queues.orders.getJob(submitJobId(userId, tradeId))),
    available(queues.commands.getJob(commandJobId('closePosition', userId, tradeId, commandId))),
  ])
  if (known !== null) repeats(tradeId, closeHash(command), known.parametersHash)
  else if (submit !== undefined) throw new TradeIdConflictError(tradeId)
  // Read behind the job: one that has just come to its end has its record now.
  else if (close?.finishedOn !== undefined && (await findTrade(reader, command)) === null)
    await available(close.remove())
}
