import { z } from 'zod'
import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import { invalid } from '../broker/refusal.ts'
import type { Lag } from '../faults/lag.ts'
import { activitiesPage } from './activity-queries.ts'
import { portfolioHistory } from './portfolio-history.ts'
import type { Reply, Routes } from './router.ts'
import type { Json } from './shapes.ts'

/** The account's own routes: its activities, its portfolio history, and its configuration. */

/**
 * The settings of the account holder. Trading, shorting, fractions and the multiplier change the
 * account itself, from its next order on. There is no overnight session: orders for extended hours
 * wait until 4:00, as if `disable_overnight_trading` were always set. The other settings do not
 * affect orders for stocks, and are only stored.
 */
const shape = z
  .object({
    suspend_trade: z.boolean(),
    no_shorting: z.boolean(),
    max_margin_multiplier: z.coerce.string().pipe(z.enum(['1', '2', '4'])),
    fractional_trading: z.boolean(),
    trade_confirm_email: z.enum(['all', 'none']),
    ptp_no_exception_entry: z.boolean(),
    max_options_trading_level: z.union([z.null(), z.int().min(0).max(3)]),
    disable_overnight_trading: z.boolean(),
  })
  .partial()
type Settings = z.output<typeof shape>

const defaults: Settings = {
  trade_confirm_email: 'all',
  ptp_no_exception_entry: false,
  max_options_trading_level: null,
  disable_overnight_trading: false,
}

const settingsJson = ({ flags, multiplier }: Account, settings: Settings): Json => ({
  ...defaults,
  ...settings,
  suspend_trade: flags.tradeSuspendedByUser,
  no_shorting: !flags.shortingEnabled,
  fractional_trading: flags.fractionalTrading,
  max_margin_multiplier: String(multiplier),
})

function applySettings(account: Account, settings: Settings): void {
  const { suspend_trade, no_shorting, max_margin_multiplier, fractional_trading } = settings
  if (max_margin_multiplier !== undefined)
    account.multiplier = Number(max_margin_multiplier) as 1 | 2 | 4
  if (suspend_trade !== undefined) account.flags.tradeSuspendedByUser = suspend_trade
  if (no_shorting !== undefined)
    account.flags.shortingEnabled = !no_shorting && account.multiplier > 1
  if (fractional_trading !== undefined) account.flags.fractionalTrading = fractional_trading
}

export function accountRoutes(broker: Broker, clock: Clock, lag: Lag): Routes {
  const settings = new WeakMap<Account, Settings>()
  const answer = (account: Account): Reply => ({
    status: 200,
    body: settingsJson(account, settings.get(account) ?? {}),
  })
  return {
    'GET /v2/account/activities': ({ account, query }) => ({
      status: 200,
      body: activitiesPage(account, query, lag.showsFill),
    }),
    'GET /v2/account/activities/:type': ({ account, query, params }) => ({
      status: 200,
      body: activitiesPage(account, query, lag.showsFill, params['type']),
    }),
    'GET /v2/account/portfolio/history': ({ account, query }) => ({
      status: 200,
      body: portfolioHistory(broker, account, query, clock.now()),
    }),
    'GET /v2/account/configurations': ({ account }) => answer(account),
    'PATCH /v2/account/configurations': ({ account, body }) => {
      const parsed = shape.safeParse(body ?? {})
      if (!parsed.success) {
        const [issue] = parsed.error.issues
        throw invalid(`invalid ${issue?.path.join('.') || 'request body'}: ${issue?.message ?? ''}`)
      }
      settings.set(account, { ...settings.get(account), ...parsed.data })
      applySettings(account, parsed.data)
      return answer(account)
    },
  }
}
