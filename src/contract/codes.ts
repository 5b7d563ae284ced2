import type { RiskCode } from '#domain'

/** The four reasons of `trade.rejected`, fixed by the client contract. */
export const REJECTION_REASONS = [
  'INSUFFICIENT_FUNDS',
  'INVALID_SYMBOL',
  'MARKET_CLOSED',
  'RISK_LIMIT_EXCEEDED',
] as const
/** One of the four reasons of `trade.rejected`. */
export type RejectionReason = (typeof REJECTION_REASONS)[number]

/**
 * Why Fillcast did not send an order, or closed an order without a report of the broker, other than
 * by a risk limit.
 */
type DenialCode =
  | 'HALTED'
  | 'EXPIRED_BEFORE_SUBMIT'
  | 'NOT_RECEIVED'
  | 'BROKER_DISCONNECTED'
  /** A close of a position that does not exist, or that open orders reduce to zero already. */
  | 'NOTHING_TO_CLOSE'
/**
 * The cause of a broker's definitive refusal. The adapter derives the code from the HTTP status,
 * the broker's code and the broker's message.
 */
export type RefusalCode =
  | 'INSUFFICIENT_BUYING_POWER'
  | 'INSUFFICIENT_QUANTITY'
  | 'SYMBOL_NOT_TRADABLE'
  | 'MARKET_CLOSED'
  | 'BROKER_DISCONNECTED'
  | 'SHORT_NOT_ALLOWED'
  | 'FRACTIONAL_NOT_ALLOWED'
  | 'WASH_TRADE'
  | 'INVALID_PRICE'
  | 'ACCOUNT_RESTRICTED'
  | 'BROKER_REJECTED'
/** The precise cause of a rejection. */
export type RejectionCode = RiskCode | DenialCode | RefusalCode

/** The reason of each code. A code without a row does not compile. */
const REASON_OF: Readonly<Record<RejectionCode, RejectionReason>> = {
  INSUFFICIENT_BUYING_POWER: 'INSUFFICIENT_FUNDS',
  INSUFFICIENT_QUANTITY: 'INSUFFICIENT_FUNDS',
  NOTHING_TO_CLOSE: 'INSUFFICIENT_FUNDS',
  CROSSES_ZERO: 'INSUFFICIENT_FUNDS',
  SYMBOL_NOT_TRADABLE: 'INVALID_SYMBOL',
  MARKET_CLOSED: 'MARKET_CLOSED',
  SYMBOL_NOT_ALLOWED: 'RISK_LIMIT_EXCEEDED',
  ORDER_TOO_LARGE: 'RISK_LIMIT_EXCEEDED',
  POSITION_TOO_LARGE: 'RISK_LIMIT_EXCEEDED',
  TOO_MANY_OPEN_ORDERS: 'RISK_LIMIT_EXCEEDED',
  TOO_MANY_ORDERS: 'RISK_LIMIT_EXCEEDED',
  DAILY_LOSS_REACHED: 'RISK_LIMIT_EXCEEDED',
  PRICE_OUTSIDE_COLLAR: 'RISK_LIMIT_EXCEEDED',
  PRICE_UNKNOWN: 'RISK_LIMIT_EXCEEDED',
  HALTED: 'RISK_LIMIT_EXCEEDED',
  EXPIRED_BEFORE_SUBMIT: 'RISK_LIMIT_EXCEEDED',
  NOT_RECEIVED: 'RISK_LIMIT_EXCEEDED',
  BROKER_DISCONNECTED: 'RISK_LIMIT_EXCEEDED',
  SHORT_NOT_ALLOWED: 'RISK_LIMIT_EXCEEDED',
  FRACTIONAL_NOT_ALLOWED: 'RISK_LIMIT_EXCEEDED',
  WASH_TRADE: 'RISK_LIMIT_EXCEEDED',
  INVALID_PRICE: 'RISK_LIMIT_EXCEEDED',
  ACCOUNT_RESTRICTED: 'RISK_LIMIT_EXCEEDED',
  BROKER_REJECTED: 'RISK_LIMIT_EXCEEDED',
}

/** Every rejection code. */
export const REJECTION_CODES: readonly string[] = Object.keys(REASON_OF)

/**
 * The reason under which a client is sent a code. A code that is newer than this table has the
 * default reason, `RISK_LIMIT_EXCEEDED`.
 */
export const rejectionReasonOf = (code: string): RejectionReason =>
  Object.hasOwn(REASON_OF, code) ? REASON_OF[code as RejectionCode] : 'RISK_LIMIT_EXCEEDED'

/** The codes of `connection.error`, fixed by the client contract. */
export const CONNECTION_ERRORS = [
  'AUTHENTICATION_FAILED',
  'RATE_LIMIT_EXCEEDED',
  'INTERNAL_ERROR',
] as const
/** One code of `connection.error`. */
export type ConnectionErrorCode = (typeof CONNECTION_ERRORS)[number]
/** The reasons of `connection.closed`, fixed by the client contract. */
export const CLOSE_REASONS = [
  'logout',
  'token_expired',
  'duplicate_connection',
  'server_shutdown',
] as const
/** One reason of `connection.closed`. */
export type CloseReason = (typeof CLOSE_REASONS)[number]
