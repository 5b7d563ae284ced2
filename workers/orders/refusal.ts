import type { Order } from '#domain'
import { FillcastError } from '#runtime'

/** The trade id was used before with other parameters. Nothing was changed. */
export class TradeConflictError extends FillcastError<'TRADE_ID_CONFLICT'> {
  constructor(tradeId: string) {
    super(
      'TRADE_ID_CONFLICT',
      `tradeId: ${tradeId} was already used with other parameters; use a new tradeId`,
    )
  }
}

/**
 * A record belongs to one request. If the record has no hash (`null`), its parameters are not
 * known, and any request is accepted as the same.
 * @throws {TradeConflictError}
 */
export function assertSame(
  { id, parametersHash: known }: Pick<Order, 'id' | 'parametersHash'>,
  hash: string,
): void {
  if (known !== null && known !== hash) throw new TradeConflictError(id)
}

/**
 * A command that cannot be carried out, and never will be. The message says why; the command
 * changed nothing.
 */
export class CommandRefusedError extends FillcastError<'COMMAND_REFUSED'> {
  constructor(message: string) {
    super('COMMAND_REFUSED', message)
  }
}
