import { type Account, type Books, positionOf, restateCosts, settle } from './account.ts'
import type { ActivityTerms } from './activity.ts'
import { type Asset, findAsset, positionSymbol } from './assets.ts'
import { returnFee, takeFee } from './crypto-fees.ts'
import { zero } from './decimals.ts'
import { splitPosition } from './money-moves.ts'
import type { Execution } from './order.ts'

/**
 * Amends past executions by booking them again. Undoing an execution differs from trading against
 * it: the average cost and the profit of all later trades depend on it. So all trades of the asset
 * are replayed, with their fees, splits and day ends. An asset that has changed its symbol is not
 * replayed: its executions stay as they are.
 */
type Step = readonly [at: string, run: () => void]

const emptyBooks = (): Books => ({ cash: zero, realized: zero, fees: zero, positions: new Map() })

/**
 * The books after a replay of all executions and splits of one asset, starting from empty books.
 * @param until events from this time on are left out
 */
function replayed({ executions, activities, nights }: Account, asset: Asset, until = '9'): Books {
  const books = emptyBooks()
  const steps: Step[] = nights.map((at) => [at, () => restateCosts(books)])
  for (const execution of executions) {
    if (execution.symbol !== asset.symbol) continue
    const { executedAt, side, qty, price } = execution
    const run = (): void => {
      settle(books, asset, side, qty, price)
      takeFee(books, { ...execution, asset })
    }
    steps.push([executedAt, run])
  }
  for (const { symbol, at, splitRatio, lieuPrice } of activities) {
    if (symbol !== asset.symbol || splitRatio === undefined) continue
    // Without the undone execution there may be no position left to split.
    steps.push([
      at,
      () =>
        positionOf(books, asset) !== undefined &&
        splitPosition(books, asset, splitRatio, lieuPrice),
    ])
  }
  steps.sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [at, run] of steps) if (at < until) run()
  return books
}

/**
 * Removes an execution of an account, or replaces it; cash, profit, fees and the position are
 * adjusted.
 * @returns the fee activities to book: the old fee returned, the new fee taken
 */
export function rebook(
  account: Account,
  asset: Asset,
  index: number,
  to: Execution | undefined,
): ActivityTerms[] {
  const before = replayed(account, asset)
  const gone = account.executions.splice(index, 1, ...(to === undefined ? [] : [to]))
  const after = replayed(account, asset)
  account.cash = account.cash.plus(after.cash).minus(before.cash)
  account.realized = account.realized.plus(after.realized).minus(before.realized)
  account.fees = account.fees.plus(after.fees).minus(before.fees)
  const position = positionOf(after, asset)
  if (position === undefined) account.positions.delete(positionSymbol(asset))
  else account.positions.set(positionSymbol(asset), position)
  const returned = gone.map((execution) => returnFee(emptyBooks(), { ...execution, asset }))
  const taken = to === undefined ? [] : [takeFee(emptyBooks(), { ...to, asset })]
  return [...returned, ...taken].filter((terms) => terms !== undefined)
}

const hasChangedSymbol = ({ activities }: Account, symbol: string): boolean =>
  activities.some((activity) => activity.type === 'NC' && activity.symbol === symbol)

/** True if an execution is still valid and can be booked again. */
export const isAmendable = (account: Account, execution: Execution): boolean =>
  account.executions.includes(execution) && !hasChangedSymbol(account, execution.symbol)

/** The positions right before a time. */
export function positionsBefore(account: Account, at: string): Books['positions'] {
  const positions: Books['positions'] = new Map(
    [...account.positions].filter(([, { asset }]) => hasChangedSymbol(account, asset.symbol)),
  )
  for (const symbol of new Set(account.executions.map((execution) => execution.symbol))) {
    const asset = findAsset(symbol)
    if (asset === undefined || hasChangedSymbol(account, symbol)) continue
    for (const [key, position] of replayed(account, asset, at).positions)
      positions.set(key, position)
  }
  return positions
}
