import type { Account } from '../broker/account.ts'
import type { MoneyMoveType } from '../broker/activity.ts'
import { type Asset, findAsset } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { CorporateAction } from '../broker/corporate-actions.ts'
import { type Decimal, parseDecimal } from '../broker/decimals.ts'
import type { MoneyMove } from '../broker/money-moves.ts'
import type { Execution, Order } from '../broker/order.ts'
import { Refusal } from '../broker/refusal.ts'
import type { CorporateActionRequest, MatchingScope } from './commands.ts'

/** The refusal of a mistaken command. */
export const refuse = (message: string): Refusal => new Refusal(422, undefined, message)

/**
 * Finds the objects that commands name. Each function throws a Refusal that names the missing
 * object.
 */
export function finders(broker: Broker) {
  const account = (keyId: string): Account => {
    const found = broker.accountOfKey(keyId)
    if (found === undefined) throw refuse(`no account has the key ${keyId}`)
    return found
  }
  const asset = (symbol: string): Asset => {
    const found = findAsset(symbol)
    if (found === undefined) throw refuse(`unknown symbol ${symbol}`)
    return found
  }
  const scope = ({ keyId, symbol }: MatchingScope = {}): Account | Asset | undefined => {
    if (keyId !== undefined && symbol !== undefined) throw refuse('give keyId or symbol, not both')
    return keyId === undefined ? (symbol === undefined ? undefined : asset(symbol)) : account(keyId)
  }
  const order = (id: string): readonly [Account, Order] => {
    for (const owner of broker.accounts()) {
      const found = owner.orders.get(id)
      if (found !== undefined) return [owner, found]
    }
    throw new Refusal(404, undefined, `no order has the id ${id}`)
  }
  const execution = (id: string): readonly [Account, Order, Execution] => {
    for (const owner of broker.accounts()) {
      const found = owner.executions.find((candidate) => candidate.id === id)
      const its = found === undefined ? undefined : owner.orders.get(found.orderId)
      if (found !== undefined && its !== undefined) return [owner, its, found]
    }
    throw new Refusal(404, undefined, `no execution that stands has the id ${id}`)
  }
  const amount = (name: string, value: string | undefined): Decimal | undefined => {
    if (value === undefined) return undefined
    const parsed = parseDecimal(value)
    if (parsed === undefined || parsed.lte(0)) throw refuse(`${name} must be a decimal above zero`)
    return parsed
  }
  const move = (
    type: MoneyMoveType,
    text: string,
    symbol: string | undefined,
    description: string,
  ): MoneyMove => {
    const parsed = parseDecimal(text)
    if (parsed === undefined) throw refuse('amount must be a decimal')
    if (type !== 'DIV' && type !== 'SPLIT') return { type, amount: parsed, description }
    if (symbol === undefined) throw refuse(`${type} needs a symbol`)
    return { type, amount: parsed, asset: asset(symbol), description }
  }
  const corporateAction = (action: CorporateActionRequest): CorporateAction => {
    const stock = asset(action.symbol)
    if (action.type === 'symbol_change')
      return { type: 'symbol_change', asset: stock, to: asset(action.to) }
    const ratio = amount('ratio', action.ratio)
    if (ratio === undefined) throw refuse('a split needs a ratio')
    return { type: 'split', asset: stock, ratio }
  }
  return { account, asset, scope, order, execution, amount, move, corporateAction }
}

/**
 * Runs a command on the model. The model reports a mistake of the caller as a RangeError, which
 * becomes a Refusal (422) instead of a server error.
 */
export function told<Result>(run: () => Result): Result {
  try {
    return run()
  } catch (error) {
    throw error instanceof RangeError ? refuse(error.message) : error
  }
}

export type Finders = ReturnType<typeof finders>
