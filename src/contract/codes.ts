/** The four reasons of `trade.rejected`, fixed by the client contract. */
export const REJECTION_REASONS = [
  'INSUFFICIENT_FUNDS',
  'INVALID_SYMBOL',
  'MARKET_CLOSED',
  'RISK_LIMIT_EXCEEDED',
] as const
export type RejectionReason = (typeof REJECTION_REASONS)[number]

/** The precise cause of a rejection, each with the one reason it is told under. */
const REASON_OF = {
  INSUFFICIENT_BUYING_POWER: 'INSUFFICIENT_FUNDS',
  INSUFFICIENT_QUANTITY: 'INSUFFICIENT_FUNDS',
  SYMBOL_NOT_TRADABLE: 'INVALID_SYMBOL',
  MARKET_CLOSED: 'MARKET_CLOSED',
  HALTED: 'RISK_LIMIT_EXCEEDED',
  EXPIRED_BEFORE_SUBMIT: 'RISK_LIMIT_EXCEEDED',
  NOT_RECEIVED: 'RISK_LIMIT_EXCEEDED',
  BROKER_DISCONNECTED: 'RISK_LIMIT_EXCEEDED',
  BROKER_REJECTED: 'RISK_LIMIT_EXCEEDED',
  UNSUPPORTED: 'RISK_LIMIT_EXCEEDED',
} as const satisfies Record<string, RejectionReason>
export type RejectionCode = keyof typeof REASON_OF

/** A code that is newer than this table is told under the default reason. */
export const rejectionReasonOf = (code: string): RejectionReason =>
  Object.hasOwn(REASON_OF, code) ? REASON_OF[code as RejectionCode] : 'RISK_LIMIT_EXCEEDED'

export const CONNECTION_ERRORS = ['AUTHENTICATION_FAILED', 'RATE_LIMIT_EXCEEDED', 'INTERNAL_ERROR'] as const
export type ConnectionErrorCode = (typeof CONNECTION_ERRORS)[number]
export const CLOSE_REASONS = ['logout', 'token_expired', 'duplicate_connection', 'server_shutdown'] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]
