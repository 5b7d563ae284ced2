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
 * Commands for trades and positions. A repeated command with the same `commandId` and the same
 * content has no further effect; a command with another `commandId` is a new command. If the same
 * `commandId` is used again with other content, the call throws a `CommandIdConflictError` and
 * queues nothing.
 * @throws {InvalidRequestError} every method: the request has a wrong field
 * @throws {CommandIdConflictError} every method
 * @throws {UnavailableError} every method: Redis did not answer
 */
export interface TradeCommands {
  /** Queues the cancellation of the rest of a trade, its exits included. */
  cancelOrder(command: CancelOrder): Promise<{ jobId: string }>
  /**
   * Queues the cancellation of every open order of one connection that Fillcast placed. If `symbol`
   * is given, only orders of that symbol are canceled.
   */
  cancelAll(command: CancelAll): Promise<{ jobId: string }>
  /**
   * Queues a change of an open order, or of one of its exits. The result is part of the order
   * (`commands`, by `commandId`). The user is sent `trade.replaced` when the replacement takes
   * place.
   */
  replaceOrder(command: ReplaceOrder): Promise<{ jobId: string }>
  /**
   * Queues the close of a position, or of a part of it, by a market order of its own. The order is
   * sized when it is sent, by the quantity that the broker reports as available. `tradeId` names
   * the closing order; like any trade id it can be used once.
   * With `positionSide` (`long` or `short`) only a position on that side is closed. If the position
   * is flat or has flipped by then, the user is sent `trade.rejected` (`NOTHING_TO_CLOSE`). With
   * `limitPrice` the close is a limit order; with `extendedHours` as well it may execute before and
   * after the regular session.
   * @throws {TradeIdConflictError} the trade id was used for another order, or for a close with
   *   other parameters
   */
  closePosition(command: ClosePosition): Promise<{ tradeId: string; jobId: string }>
  /**
   * Queues the close of every position that the broker shows on one connection when the command is
   * carried out. Each position is closed by a market order as of `closePosition`, under the trade
   * id `closeAllTradeId(connectionId, commandId, symbol)`. Open orders stay open: cancel open
   * orders first, or the shares that they reserve stay. Positions that cannot be traded here
   * (options) stay, and are named in the workers' log.
   */
  closeAllPositions(command: CloseAllPositions): Promise<{ jobId: string }>
}

type Command = Readonly<{ userId: string; commandId: string }>

/**
 * @throws {InvalidRequestError} each command
 * @throws {CommandIdConflictError} each command
 * @throws {UnavailableError} each command
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
    // BullMQ does not add a repeated job, so the content of the job in the queue decides.
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

/**
 * Compares a queued payload with a command. The payload is parsed first, because an earlier version
 * may have written it in another form.
 */
function asksFor(name: JobName, queued: unknown, command: Command): boolean {
  const read = jobs[name].schema.safeParse(queued)
  return read.success && contentHash(read.data) === contentHash(command)
}

/**
 * A close is a trade, so its trade id must not belong to another order. If the close's job has
 * ended without a record, the store lost that record with the last second of its writes (RDQ-04).
 * The job is then removed, so that the close is carried out again.
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
  // The record is read after the job: a job that has just ended has written its record by now.
  else if (close?.finishedOn !== undefined && (await findTrade(reader, command)) === null)
    await available(close.remove())
}
