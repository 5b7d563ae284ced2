import type { z } from 'zod'
import { describeIssues, problemsOf } from '#contract'
import { FillcastError } from '#runtime'

/**
 * The request cannot be carried out as it is. The request was not queued. `fields` names the fields
 * to fix.
 */
export class InvalidRequestError extends FillcastError<'INVALID_REQUEST'> {
  readonly fields: readonly string[]

  constructor(error: z.ZodError) {
    super('INVALID_REQUEST', describeIssues(error))
    this.fields = [...new Set(problemsOf(error).map(({ field }) => field))]
  }
}

/** The trade id was used before with other parameters. The request was not queued. */
export class TradeIdConflictError extends FillcastError<'TRADE_ID_CONFLICT'> {
  readonly tradeId: string

  constructor(tradeId: string) {
    super(
      'TRADE_ID_CONFLICT',
      `tradeId: ${tradeId} was already used with other parameters; use a new tradeId`,
    )
    this.tradeId = tradeId
  }
}

/**
 * The command id was used before with other content, for the same trade and the same kind of
 * command. The request was not queued.
 */
export class CommandIdConflictError extends FillcastError<'COMMAND_ID_CONFLICT'> {
  readonly commandId: string

  constructor(commandId: string) {
    super(
      'COMMAND_ID_CONFLICT',
      `commandId: ${commandId} was already used for something else; use a new commandId`,
    )
    this.commandId = commandId
  }
}

/** The connection id cannot be used like this. The connection was not changed. */
export class ConnectionConflictError extends FillcastError<'CONNECTION_CONFLICT'> {
  constructor(connectionId: string, why: string) {
    super('CONNECTION_CONFLICT', `connectionId: ${connectionId} ${why}; use a new connectionId`)
  }
}

/**
 * Redis did not answer. The request may or may not have been queued. To repeat the request with the
 * same ids is safe.
 */
export class UnavailableError extends FillcastError<'UNAVAILABLE'> {
  constructor(options?: ErrorOptions) {
    super(
      'UNAVAILABLE',
      'the queue cannot be reached; repeat the request with the same ids',
      options,
    )
  }
}

/**
 * The producer was disposed. The request was not queued, and this producer accepts no more
 * requests.
 */
export class ProducerClosedError extends FillcastError<'PRODUCER_CLOSED'> {
  constructor() {
    super('PRODUCER_CLOSED', 'this producer was disposed: create another with createProducer')
  }
}
