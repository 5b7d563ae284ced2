import { EVENT_ID_ZERO } from '#contract'
import type { TradeInBooks } from './ledger.ts'

/** An entry of a user's event log. */
export type Entry = Readonly<{ id: string; prev: string; event: string; payload: unknown }>

/** The events of one trade in a log since the last `state.resync`. */
export type TradeTold = {
  readonly connectionId: unknown
  submitted: number
  /** `trade.submitted` had a quantity; `false`: the order is in money, or was not sent. */
  isSized: boolean
  cumulative: number
  terminal: string | null
  /** Of a rejection. */
  code: unknown
  corrected: number
  /** The log has events of it other than corrections. */
  isFollowed: boolean
}

type Fields = Readonly<Record<string, unknown>>
export const fieldsOf = ({ payload }: Entry): Fields => payload as Fields

const TERMINAL: ReadonlySet<string> = new Set(['trade.filled', 'trade.rejected', 'trade.cancelled'])

/** S9: ids grow, and each entry names the one before it. */
export function brokenChains(log: readonly Entry[]): string[] {
  return log.flatMap((entry, index) => {
    const before = log[index - 1]?.id
    if (before === undefined)
      return entry.prev === EVENT_ID_ZERO || entry.event === 'state.resync' ? [] : ['S9 first']
    return entry.prev === before && entry.id > before
      ? []
      : [`S9 ${entry.id} after ${before} names ${entry.prev}`]
  })
}

/**
 * S5, S6, S8: the state of each trade by the events of a log, and the contradictions in the log.
 * @param isWhole no event of the log was ever lost
 */
export function toldOf(
  log: readonly Entry[],
  isWhole = true,
): { trades: Map<string, TradeTold>; findings: string[] } {
  const trades = new Map<string, TradeTold>()
  const findings: string[] = []
  let isResynced = !isWhole
  for (const entry of log) {
    if (entry.event === 'state.resync') {
      isResynced = true
      trades.clear()
      continue
    }
    const { tradeId, brokerConnectionId: connectionId } = fieldsOf(entry)
    if (!entry.event.startsWith('trade.') || typeof tradeId !== 'string') continue
    const fresh = {
      connectionId,
      submitted: 0,
      isSized: false,
      cumulative: 0,
      terminal: null,
      code: null,
      corrected: 0,
      isFollowed: false,
    }
    const told = trades.get(tradeId) ?? fresh
    trades.set(tradeId, told)
    const found = follow(told, entry, isResynced)
    findings.push(...found.map((rule) => `${rule}: ${entry.event} of ${tradeId} at ${entry.id}`))
  }
  return { trades, findings }
}

/** Applies one event to the state of its trade. @returns the rules that the event breaks */
function follow(told: TradeTold, entry: Entry, isResynced: boolean): string[] {
  const { quantity, filledQuantity, code } = fieldsOf(entry)
  const found: string[] = []
  if (entry.event === 'trade.corrected') {
    told.corrected += 1
    told.cumulative = Number(filledQuantity)
    return []
  }
  told.isFollowed = true
  if (told.terminal !== null) found.push(`S6 after ${told.terminal}`)
  // A replacement at the broker may be for a smaller quantity, and the trade ends when this
  // quantity has executed.
  if (entry.event === 'trade.replaced') told.isSized = false
  if (entry.event === 'trade.submitted') {
    told.submitted += 1
    told.isSized = quantity !== null
  }
  if (told.submitted > 1) found.push('S8 twice')
  const isEarly = told.submitted === 0 && !isResynced
  if (isEarly && entry.event !== 'trade.rejected' && entry.event !== 'trade.cancelled')
    found.push('S8 not submitted yet')
  if (entry.event === 'trade.partialFill' || entry.event === 'trade.filled') {
    const total = Number(entry.event === 'trade.filled' ? quantity : filledQuantity)
    // The end of an order in money may be sent after all of its executions were sent.
    const isEndOnly = entry.event === 'trade.filled' && !told.isSized && total === told.cumulative
    if (total <= told.cumulative && !isEndOnly) found.push(`S5 ${told.cumulative} then ${total}`)
    told.cumulative = total
  }
  // The executions before a resync are in the snapshot after it, and in the final event of the
  // trade.
  if (entry.event === 'trade.cancelled' && isResynced && told.submitted === 0)
    told.cumulative = Number(filledQuantity)
  if (TERMINAL.has(entry.event)) Object.assign(told, { terminal: entry.event, code })
  return found
}

/** S4, S7: the events of a trade agree with the books of the broker. */
export function contradictions(
  tradeId: string,
  told: TradeTold,
  books: TradeInBooks | undefined,
): string[] {
  const executed = Number(books?.everExecuted ?? 0)
  const isOpen = books?.isOpen ?? false
  const findings: string[] = []
  if (told.cumulative > executed)
    findings.push(`S4 ${tradeId} told ${told.cumulative}, executed ${executed}`)
  if (told.terminal === null || told.corrected > 0 || told.code === 'NOT_RECEIVED') return findings
  if (told.terminal === 'trade.rejected' && (executed > 0 || isOpen))
    findings.push(`S7 ${tradeId} was not rejected`)
  if (isOpen) findings.push(`S7 ${tradeId} told ${told.terminal}, and is open`)
  return findings
}

/**
 * S12: the positions by the events of the log, by connection and symbol. A resync discards all
 * events before it.
 */
export function positionsTold(log: readonly Entry[]): Map<string, number> {
  const quantities = new Map<string, number>()
  const names = new Map<string, string>()
  for (const entry of log) {
    if (entry.event === 'state.resync') {
      quantities.clear()
      names.clear()
    }
    const { brokerConnectionId, position, positionId, updates } = fieldsOf(entry)
    const added = position as { id: string; symbol: string; quantity: number } | undefined
    const known = names.get(String(positionId))
    if (entry.event === 'portfolio.positionAdded' && added !== undefined) {
      names.set(added.id, `${String(brokerConnectionId)} ${added.symbol}`)
      quantities.set(`${String(brokerConnectionId)} ${added.symbol}`, added.quantity)
    } else if (entry.event === 'portfolio.positionUpdated' && known !== undefined) {
      const { quantity } = updates as { quantity?: number }
      if (quantity !== undefined) quantities.set(known, quantity)
    } else if (entry.event === 'portfolio.positionClosed' && known !== undefined)
      quantities.delete(known)
  }
  return quantities
}

/** The cash of a connection by the events since the last resync; `null`: no event has the cash. */
export function cashTold(log: readonly Entry[], connectionId: string): number | null {
  const from = log.findLastIndex(({ event }) => event === 'state.resync')
  const last = log.findLast(
    (entry, index) =>
      index > from &&
      entry.event === 'portfolio.balanceChanged' &&
      fieldsOf(entry)['brokerConnectionId'] === connectionId,
  )
  if (last === undefined) return null
  const { connectionBalance, newBalance } = fieldsOf(last)
  return Number(connectionBalance ?? newBalance)
}
