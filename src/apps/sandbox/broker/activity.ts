import type { Decimal } from './decimals.ts'

/** The kinds of activities that move money or shares besides fills. */
export const moneyMoveTypes = ['CSD', 'CSW', 'JNLC', 'FEE', 'DIV', 'SPLIT'] as const

export type MoneyMoveType = (typeof moneyMoveTypes)[number]

/**
 * Fees in coins are taken by fills, and names change for everybody: neither is a move of one
 * account.
 */
export type ActivityType = MoneyMoveType | 'CFEE' | 'NC'

/** One non-trade activity. */
export type Activity = Readonly<{
  id: string
  type: ActivityType
  /** When it was booked. */
  at: string
  /** Signed: what it did to the cash. */
  netAmount: Decimal
  description: string
  symbol: string | undefined
  /** Of a dividend: the shares it was paid on. Of a split: the shares that came or went. */
  qty: Decimal | undefined
  perShareAmount: Decimal | undefined
  /**
   * Of a split: new shares for one old, and what a fraction was paid at; without, fractions stayed.
   */
  splitRatio?: Decimal
  lieuPrice?: Decimal
}>

/** What an activity says, before it is booked. What is left out does not apply to its type. */
export type ActivityTerms = Pick<Activity, 'type' | 'description' | 'netAmount'> &
  Partial<Pick<Activity, 'symbol' | 'qty' | 'perShareAmount' | 'splitRatio' | 'lieuPrice'>>
