import type { ServerEventPayload } from '#contract'

type StateSync = ServerEventPayload<'state.sync'>
type Fields = Record<string, unknown>

/** The fields of a pending trade that both events and a `state.sync` have. */
type Trade = { symbol: string; quantity: unknown; filledQuantity: number; limitPrice: unknown }

/**
 * The view of a client of its user, updated as the contract says: a `state.sync` replaces the parts
 * that it has, and each later event changes the view. An event that does not fit the view is a
 * finding.
 */
export class View {
  /** The cash of all accounts together, and of each account. */
  #cash = 0
  #cashOf = new Map<string, number>()
  #positions = new Map<string, Fields>()
  #trades = new Map<string, Trade>()
  /**
   * Trades known only from a `state.sync` that may not be at the broker yet: their
   * `trade.submitted` may follow.
   */
  #maybeUnsubmitted = new Set<string>()

  copy(): View {
    const copy = new View()
    copy.#cash = this.#cash
    copy.#cashOf = new Map(this.#cashOf)
    copy.#positions = new Map([...this.#positions].map(([id, position]) => [id, { ...position }]))
    copy.#trades = new Map([...this.#trades].map(([id, trade]) => [id, { ...trade }]))
    copy.#maybeUnsubmitted = new Set(this.#maybeUnsubmitted)
    return copy
  }

  sync({ portfolio, positions, pendingTrades }: StateSync): void {
    if (portfolio !== undefined) {
      this.#cash = portfolio.cashBalance
      const accounts = portfolio.accounts ?? []
      this.#cashOf = new Map(
        accounts.map(({ brokerConnectionId, cashBalance }) => [brokerConnectionId, cashBalance]),
      )
    }
    if (positions !== undefined)
      this.#positions = new Map(positions.map(({ id, ...position }) => [id, shownOf(position)]))
    if (pendingTrades === undefined) return
    this.#trades.clear()
    this.#maybeUnsubmitted.clear()
    for (const trade of pendingTrades) {
      // No event reports a trade before it is submitted, so clients do not have it yet.
      if (trade.status === 'submitting') continue
      const { id, symbol, quantity, limitPrice, status } = trade
      const filledQuantity = Number(trade['filledQuantity'])
      this.#trades.set(id, { symbol, quantity, limitPrice, filledQuantity })
      // An early cancel request is shown before the broker has the trade.
      if (status === 'cancelling' && filledQuantity === 0) this.#maybeUnsubmitted.add(id)
    }
  }

  /** Applies an event of the log. @returns the contradictions with the view */
  apply(event: string, payload: Fields): string[] {
    const area = event.slice(0, event.indexOf('.'))
    if (area === 'portfolio') return this.#applyToPortfolio(event, payload)
    return area === 'trade' ? this.#applyToTrades(event, payload) : []
  }

  #applyToPortfolio(event: string, payload: Fields): string[] {
    const { brokerConnectionId, positionId } = payload
    if (event === 'portfolio.balanceChanged') {
      const { oldBalance, newBalance, connectionBalance } = payload
      const was = this.#cash
      this.#cash = Number(newBalance)
      this.#cashOf.set(String(brokerConnectionId), Number(connectionBalance ?? newBalance))
      return was === oldBalance
        ? []
        : [`the balance was ${was}, and ${String(oldBalance)} changed to ${this.#cash}`]
    }
    if (event === 'portfolio.positionAdded') {
      const { id, ...position } = payload['position'] as Fields & { id: string }
      const isThere = this.#positions.has(id)
      this.#positions.set(id, shownOf({ brokerConnectionId, ...position }))
      return isThere ? [`position ${id} was added, and was there`] : []
    }
    const known = this.#positions.get(String(positionId))
    if (known === undefined) return [`${event} of ${String(positionId)}, which is not there`]
    if (event === 'portfolio.positionUpdated') Object.assign(known, payload['updates'])
    else this.#positions.delete(String(positionId))
    return []
  }

  #applyToTrades(event: string, payload: Fields): string[] {
    const { tradeId, symbol, quantity, filledQuantity, limitPrice = null, leg = 'entry' } = payload
    const id = String(tradeId)
    const known = this.#trades.get(id)
    const isFirstTold = this.#maybeUnsubmitted.delete(id) || known === undefined
    switch (event) {
      case 'trade.submitted':
        this.#trades.set(id, { symbol: String(symbol), quantity, limitPrice, filledQuantity: 0 })
        return isFirstTold ? [] : [`trade ${id} was submitted, and was there`]
      case 'trade.partialFill':
        if (known === undefined) return [`${event} of ${id}, which is not there`]
        Object.assign(known, { quantity: payload['requestedQuantity'], filledQuantity })
        return []
      case 'trade.replaced':
        if (known !== undefined && leg === 'entry') Object.assign(known, { quantity, limitPrice })
        return []
      case 'trade.corrected':
        if (known !== undefined) Object.assign(known, { filledQuantity })
        return []
      default:
        this.#trades.delete(id)
        return []
    }
  }

  /**
   * The differences of this view from another one.
   * @param unknown trades that no event has reported yet
   */
  differences(truth: View, unknown: ReadonlySet<string>): string[] {
    const told = (trades: ReadonlyMap<string, Trade>) =>
      new Map([...trades].filter(([id]) => !unknown.has(id)))
    return [
      ...differencesOf(
        'cash',
        new Map([['in all', this.#cash]]),
        new Map([['in all', truth.#cash]]),
      ),
      ...differencesOf('cash of', this.#cashOf, truth.#cashOf),
      ...differencesOf('position', this.#positions, truth.#positions),
      ...differencesOf('trade', told(this.#trades), told(truth.#trades)),
    ]
  }
}

/** The fields of a position that both events and syncs have. */
const SHOWN = [
  'brokerConnectionId',
  'symbol',
  'quantity',
  'averageEntryPrice',
  'currentPrice',
  'unrealizedPnL',
  'stopLossPrice',
  'openedAt',
]
const shownOf = (position: Fields): Fields =>
  Object.fromEntries(SHOWN.map((name) => [name, position[name]]))

function differencesOf(
  what: string,
  believed: ReadonlyMap<string, unknown>,
  true_: ReadonlyMap<string, unknown>,
): string[] {
  const names = [...new Set([...believed.keys(), ...true_.keys()])]
  return names.flatMap((name) => {
    const [ours, theirs] = [believed, true_].map((map) => JSON.stringify(map.get(name)) ?? 'none')
    return ours === theirs ? [] : [`${what} ${name} is ${ours}, and should be ${theirs}`]
  })
}
