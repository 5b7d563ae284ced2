import type { RiskQuote } from '#domain'
import { type Clock, putNewest } from '#runtime'
import { type Broker, HeldBackError } from '../broker/index.ts'

/** One look-up serves all orders of a symbol for this long. */
const SHARED_MS = 2_000
/** Symbols whose last look-up is kept. */
const SYMBOLS_MAX = 1_000

type LookUp = Readonly<{ askedMs: number; answer: Promise<RiskQuote | null> }>

/**
 * Prices looked up at the broker, for orders that a limit has to price while no fresh quote is
 * kept. All orders of a symbol share a look-up, across accounts, because prices are the same for
 * all accounts.
 */
export class LatestPrices {
  readonly #clock: Clock
  readonly #lookUps = new Map<string, LookUp>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param broker the order's own account: its credentials and its budget pay for a look-up
   * @returns `null`: there was no answer, or the broker knows no price
   * @throws {HeldBackError} the budget of the account is spent: nothing was asked
   */
  async of(symbol: string, broker: Broker): Promise<RiskQuote | null> {
    const shared = this.#lookUps.get(symbol)
    if (shared !== undefined && this.#clock.monotonicMs() - shared.askedMs < SHARED_MS) {
      const told = await shared.answer.then(
        (quote) => ({ quote }),
        () => null, // the look-up failed for another account; this account may have budget left
      )
      if (told !== null) return told.quote
    }
    const answer = broker.readQuote(symbol)
    putNewest(this.#lookUps, symbol, { askedMs: this.#clock.monotonicMs(), answer }, SYMBOLS_MAX)
    try {
      return await answer
    } catch (error) {
      if (this.#lookUps.get(symbol)?.answer === answer) this.#lookUps.delete(symbol)
      if (error instanceof HeldBackError) throw error
      return null
    }
  }
}
