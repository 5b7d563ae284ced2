import type { Alpaca } from '@alpacahq/alpaca-trade-api'
import type { BrokerSnapshot } from '#domain'
import type {
  AccountStanding,
  BrokerActivity,
  BrokerPosition,
  MarketClock,
  MarketSession,
  OrderExecution,
} from '../port.ts'
import { allPages, justBefore, known, type OnUnread, read, readIfThere, wireRows } from './read.ts'
import { sessionOf } from './sessions.ts'
import { readAccount, readActivity, readBrokerPosition, readFill, readPosition } from './wire.ts'

/** Alpaca's page size. */
const ACTIVITIES_PER_PAGE = 100
/**
 * Activities other than executions are dated by day: the day before `since` is read too, and its
 * activities are filtered by time.
 */
const DAY_MS = 86_400_000

type Trading = Alpaca['trading']

const activities = (trading: Trading, filter: object, permit: () => Promise<void>) =>
  allPages(
    ACTIVITIES_PER_PAGE,
    (pageToken) =>
      wireRows(
        trading.accountActivities.getAccountActivitiesRaw({
          direction: 'asc',
          pageSize: ACTIVITIES_PER_PAGE,
          ...filter,
          ...(pageToken === undefined ? {} : { pageToken }),
        }),
      ),
    permit,
  )

/**
 * Lists the current executions: the row of a busted execution disappears, and a corrected execution
 * gets a new row.
 */
export async function listExecutions(
  trading: Trading,
  since: string,
  permit: () => Promise<void>,
  onUnread: OnUnread,
): Promise<readonly OrderExecution[]> {
  const rows = await activities(
    trading,
    { activityTypes: ['FILL'], after: justBefore(since) },
    permit,
  )
  return known(rows, readFill, (id) => onUnread('executions', id))
}

export async function listActivities(
  trading: Trading,
  since: string,
  permit: () => Promise<void>,
  onUnread: OnUnread,
): Promise<readonly BrokerActivity[]> {
  const after = new Date(Date.parse(since) - DAY_MS)
  const rows = await activities(trading, { category: 'non_trade_activity', after }, permit)
  const read = known(rows, readActivity, (id) => onUnread('activities', id))
  return read.filter(({ at }) => Date.parse(at) >= Date.parse(since))
}

export const readPortfolio = (
  trading: Trading,
  permit: () => Promise<void>,
): Promise<BrokerSnapshot> =>
  read(async () => {
    await permit()
    const [account, positions] = await Promise.all([
      trading.account.getAccount(),
      trading.positions.getAllOpenPositions(),
    ])
    const { id, currency, cash } = readAccount(account)
    return { brokerAccountId: id, currency, cash, positions: positions.map(readPosition) }
  })

/** Positions in coins are named without the slash. */
export const readBrokerPositionOf = (
  trading: Trading,
  symbol: string,
): Promise<BrokerPosition | null> =>
  readIfThere(async () =>
    readBrokerPosition(
      await trading.positions.getOpenPosition({ symbolOrAssetId: symbol.replace('/', '') }),
    ),
  )

export const readStanding = (trading: Trading): Promise<AccountStanding> =>
  read(async () => standingOf(readAccount(await trading.account.getAccount())))

function standingOf(account: ReturnType<typeof readAccount>): AccountStanding {
  const reasons = [
    account.status === 'ACTIVE'
      ? ''
      : `the account is ${account.status.toLowerCase().replaceAll('_', ' ')}`,
    account.accountBlocked ? 'the account is blocked' : '',
    account.tradingBlocked ? 'trading is blocked' : '',
    account.tradeSuspendedByUser ? 'trading was suspended by its holder' : '',
  ].filter((reason) => reason !== '')
  return {
    brokerAccountId: account.id,
    canTrade: reasons.length === 0,
    why: reasons.join(', ') || null,
  }
}

export const readClock = (trading: Trading): Promise<MarketClock> =>
  read(async () => {
    const { timestamp, isOpen, nextOpen, nextClose } = await trading.clock.legacyClock()
    return {
      at: timestamp?.toISOString() ?? '',
      isOpen: isOpen ?? false,
      nextOpen: nextOpen?.toISOString() ?? '',
      nextClose: nextClose?.toISOString() ?? '',
    }
  })

export const readSessions = (
  trading: Trading,
  from: string,
  to: string,
): Promise<readonly MarketSession[]> =>
  read(async () => {
    const days = await trading.calendar.legacyCalendar({ start: new Date(from), end: new Date(to) })
    return days.map(sessionOf).filter(({ date }) => date >= from && date <= to)
  })
