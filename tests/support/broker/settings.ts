import {
  type Asset,
  type BrokerOrder,
  type BrokerStatus,
  dec,
  type OrderIntent,
  type RiskQuote,
} from '#domain'
import type { MarketSession } from '../../../workers/broker/port.ts'

/** How the model broker behaves; a test sets each field. */
export class VenueSettings {
  /** Status of an order that was just accepted. */
  acceptedAs: Extract<BrokerStatus, 'accepted' | 'pending_new' | 'new'> = 'new'
  /** Cancels stay `pending_cancel` until `settleCancel`. */
  holdsCancels = false
  /** Replacements stay pending until `settleReplace`. */
  holdsReplaces = false
  /**
   * `own`: the quantity of a replacement excludes the fills of the old order; `total`: includes.
   */
  replaceSizing: 'own' | 'total' = 'own'
  /** How long a client order id is taken: for ever, or only while its order is open. */
  idsLast: 'forever' | 'while_open' = 'forever'
  /**
   * Terms of an accepted order that differ from its request: a conformed quantity, another spelling
   * of the symbol, ...
   */
  conformed: (intent: OrderIntent) => Partial<BrokerOrder> = () => ({})
  /** If true, a synchronously refused order keeps its client order id taken. */
  refusalsTakeIds = false
  /** Orders are not found and not listed until this long after they were accepted. */
  visibleAfterMs = 0
  /** Executions are listed this long after they happened. */
  executionLagMs = 0
  /** If true, the list of executions contains busts too. */
  listsBusts = false
  /**
   * Days whose sessions differ from the calendar: an early close, an unplanned closure (`null`).
   */
  readonly sessions = new Map<string, MarketSession | null>()
  /** Latest quotes, by symbol. */
  readonly quotes = new Map<string, RiskQuote>()
  /** Overrides the sessions. */
  isOpen: boolean | null = null
  isRestricted = false
  /** The assets that the broker lists. */
  assets: readonly Asset[] = [
    {
      symbol: 'AAPL',
      assetClass: 'us_equity',
      isTradable: true,
      isFractionable: true,
      isShortable: true,
      quantityMin: null,
      quantityIncrement: null,
      priceIncrement: null,
    },
    {
      symbol: 'BTC/USD',
      assetClass: 'crypto',
      isTradable: true,
      isFractionable: true,
      isShortable: false,
      quantityMin: dec('0.000000001'),
      quantityIncrement: dec('0.000000001'),
      priceIncrement: dec('0.000000001'),
    },
  ]
}
