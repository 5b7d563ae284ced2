import { expect, test } from 'vitest'
import {
  CLOSE_REASONS,
  CONNECTION_ERRORS,
  REJECTION_REASONS,
  type RejectionCode,
  rejectionReasonOf,
} from '#contract'

/** A code that is added without a row here does not compile. */
const REASONS: Readonly<Record<RejectionCode, (typeof REJECTION_REASONS)[number]>> = {
  INSUFFICIENT_BUYING_POWER: 'INSUFFICIENT_FUNDS',
  INSUFFICIENT_QUANTITY: 'INSUFFICIENT_FUNDS',
  NOTHING_TO_CLOSE: 'INSUFFICIENT_FUNDS',
  CROSSES_ZERO: 'INSUFFICIENT_FUNDS',
  SYMBOL_NOT_TRADABLE: 'INVALID_SYMBOL',
  SYMBOL_NOT_ALLOWED: 'RISK_LIMIT_EXCEEDED',
  ORDER_TOO_LARGE: 'RISK_LIMIT_EXCEEDED',
  POSITION_TOO_LARGE: 'RISK_LIMIT_EXCEEDED',
  TOO_MANY_OPEN_ORDERS: 'RISK_LIMIT_EXCEEDED',
  TOO_MANY_ORDERS: 'RISK_LIMIT_EXCEEDED',
  DAILY_LOSS_REACHED: 'RISK_LIMIT_EXCEEDED',
  PRICE_OUTSIDE_COLLAR: 'RISK_LIMIT_EXCEEDED',
  PRICE_UNKNOWN: 'RISK_LIMIT_EXCEEDED',
  MARKET_CLOSED: 'MARKET_CLOSED',
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

test.each(Object.entries(REASONS))('%s is reported as %s', (code, reason) =>
  expect(rejectionReasonOf(code)).toBe(reason),
)

test('each of the four reasons has a cause', () => {
  expect(new Set(Object.values(REASONS))).toEqual(new Set(REJECTION_REASONS))
})

test.each(['', 'FROM_THE_FUTURE', 'toString', '__proto__', 'constructor'])(
  'a code outside the table, %j, is reported under the default reason',
  (code) => expect(rejectionReasonOf(code)).toBe('RISK_LIMIT_EXCEEDED'),
)

test('connection errors and closing reasons are those of the specification', () => {
  expect(CONNECTION_ERRORS).toEqual([
    'AUTHENTICATION_FAILED',
    'RATE_LIMIT_EXCEEDED',
    'INTERNAL_ERROR',
  ])
  expect(CLOSE_REASONS).toEqual([
    'logout',
    'token_expired',
    'duplicate_connection',
    'server_shutdown',
  ])
})
