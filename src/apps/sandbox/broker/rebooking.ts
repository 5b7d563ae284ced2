import { type Account, type Books, positionOf, restateCosts, settle } from './account.ts'
import type { ActivityTerms } from './activity.ts'
import { type Asset, findAsset, positionSymbol } from './assets.ts'
import { returnFee, takeFee } from './crypto-fees.ts'
import { zero } from './decimals.ts'
import { splitPosition } from './money-moves.ts'
import type { Execution } from './order.ts'

/**
 * Books past executions anew, as if they had always been what they are now. Taking one back is not
 * the same as trading against it: the average cost and the profit of everything since depend on it.
 * So its asset is replayed, with its fees, its splits and the nights between. What changed its
 * symbol on the way is not followed: its executions stay as they are.
 */
type Step = readonly [at: string, run: () => void]

const emptyBooks = (): Books => ({ cash: zero, realized: zero, fees: zero, positions: new Map() })

/**
 * What everything that was done in one asset comes to, from nothing.
 * @param until what was done from then on is left out
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
    // What is taken back may have been all there was to split.
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
 * Takes one of an account's executions out, or puts another in its place; cash, profit, fees and
 * the position follow.
 * @returns what is to be written down of its fees: the old one given back, the new one taken
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

/** Whether an execution still stands and can be booked anew. */
export const isAmendable = (account: Account, execution: Execution): boolean =>
  account.executions.includes(execution) && !hasChangedSymbol(account, execution.symbol)

/** The positions as they were right before a moment. */
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
