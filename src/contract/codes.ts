import type { RiskCode } from '#domain'

/** The four reasons of `trade.rejected`, fixed by the client contract. */
export const REJECTION_REASONS = [
  'INSUFFICIENT_FUNDS',
  'INVALID_SYMBOL',
  'MARKET_CLOSED',
  'RISK_LIMIT_EXCEEDED',
] as const
export type RejectionReason = (typeof REJECTION_REASONS)[number]

/** Why we did not send an order, or closed one without the broker's word, other than by a limit. */
type DenialCode =
  | 'HALTED'
  | 'EXPIRED_BEFORE_SUBMIT'
  | 'NOT_RECEIVED'
  | 'BROKER_DISCONNECTED'
  /** A close of a position that is not there, or is promised to open orders as a whole. */
  | 'NOTHING_TO_CLOSE'
/** What a broker's definitive refusal says; the adapter reads it from status, code and words. */
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

/** Each cause with the one reason it is told under; a cause without a row does not compile. */
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

/** Every cause. */
export const REJECTION_CODES: readonly string[] = Object.keys(REASON_OF)

/** A code that is newer than this table is told under the default reason. */
export const rejectionReasonOf = (code: string): RejectionReason =>
  Object.hasOwn(REASON_OF, code) ? REASON_OF[code as RejectionCode] : 'RISK_LIMIT_EXCEEDED'

export const CONNECTION_ERRORS = [
  'AUTHENTICATION_FAILED',
  'RATE_LIMIT_EXCEEDED',
  'INTERNAL_ERROR',
] as const
export type ConnectionErrorCode = (typeof CONNECTION_ERRORS)[number]
export const CLOSE_REASONS = [
  'logout',
  'token_expired',
  'duplicate_connection',
  'server_shutdown',
] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]
