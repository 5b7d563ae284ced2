import type { Decimal } from './decimals.ts'

/** The types of activities, besides fills, that move money or shares. */
export const moneyMoveTypes = ['CSD', 'CSW', 'JNLC', 'FEE', 'DIV', 'SPLIT'] as const

export type MoneyMoveType = (typeof moneyMoveTypes)[number]

/**
 * A coin fee (`CFEE`) is part of a fill, and a name change (`NC`) affects all accounts: neither is
 * a move of one account.
 */
export type ActivityType = MoneyMoveType | 'CFEE' | 'NC'

/** One non-trade activity. */
export type Activity = Readonly<{
  id: string
  type: ActivityType
  /** Time of the booking. */
  at: string
  /** Signed: the change of the cash. */
  netAmount: Decimal
  description: string
  symbol: string | undefined
  /** Of a dividend: the shares it was paid on. Of a split: the change of the shares. */
  qty: Decimal | undefined
  perShareAmount: Decimal | undefined
  /**
   * Of a split: new shares per old share, and the price at which a fraction was paid out. Without
   * `lieuPrice` fractions stayed in the position.
   */
  splitRatio?: Decimal
  lieuPrice?: Decimal
}>

/**
 * The content of an activity before its booking. Fields that do not apply to the type are absent.
 */
export type ActivityTerms = Pick<Activity, 'type' | 'description' | 'netAmount'> &
  Partial<Pick<Activity, 'symbol' | 'qty' | 'perShareAmount' | 'splitRatio' | 'lieuPrice'>>
