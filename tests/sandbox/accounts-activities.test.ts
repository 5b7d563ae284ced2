import { afterEach, beforeEach, expect, test } from 'vitest'
import { type MoneyMoveRequest, type Sandbox, startSandbox } from '#sandbox'
import { officialSdk } from './official-sdk.ts'
import { call } from './wire.ts'

/** Movements of an account besides fills, their list, and the value of the account meanwhile. */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'activities',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.setPrice('AAPL', { bid: '100', ask: '100', last: '100' })
})

afterEach(() => sandbox.close())

const move = (type: MoneyMoveRequest['type'], amount: string, symbol?: string): unknown =>
  sandbox.control.moveMoney('demo-key', {
    type,
    amount,
    ...(symbol === undefined ? {} : { symbol }),
  })
const books = () => sandbox.control.ledger('demo-key').accounts['demo-key']
const list = async (query: string): Promise<string[]> => {
  const { body } = await call(sandbox, 'GET', `/v2/account/activities${query}`)
  return (body as { activity_type: string }[]).map(({ activity_type }) => activity_type)
}

async function buyTen(): Promise<void> {
  const order = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
  await call(sandbox, 'POST', '/v2/orders', order)
  await expect.poll(() => books()?.executions.length).toBe(1)
}

/** One of each, with the books kept straight. */
async function everything(): Promise<void> {
  move('CSD', '1000')
  await buyTen()
  move('CSW', '500')
  move('FEE', '1.5')
  move('DIV', '0.25', 'AAPL')
  move('JNLC', '-10')
  move('SPLIT', '4', 'AAPL')
}

test('every movement is in the books, and the books add up', async () => {
  await everything()
  expect(books()).toMatchObject({
    cash: '99491',
    deposits: '100490',
    fees: '1.5',
    realized: '2.5',
    positions: [{ symbol: 'AAPL', qty: '40', cost: '1000' }],
  })
  // Cash + cost + fees = deposits + realized.
  expect(99_491 + 1_000 + 1.5).toBe(100_490 + 2.5)
})

test('the SDK lists every activity, newest first, each with its own fields', async () => {
  await everything()
  const rows = await officialSdk(sandbox).trading.accountActivities.getAccountActivities({})
  const types = ['SPLIT', 'JNLC', 'DIV', 'FEE', 'CSW', 'FILL', 'CSD']
  expect(rows.map((row) => (row as { activityType?: string }).activityType)).toEqual(types)
  const dividend = await call(sandbox, 'GET', '/v2/account/activities/DIV')
  expect(dividend.body).toEqual([
    {
      id: expect.stringMatching(/^\d{8}000000000::[0-9a-f-]{36}$/) as unknown,
      activity_type: 'DIV',
      date: new Date().toISOString().slice(0, 10),
      net_amount: '2.5',
      description: '',
      status: 'executed',
      symbol: 'AAPL',
      qty: '10',
      per_share_amount: '0.25',
    },
  ])
  const [split] = (await call(sandbox, 'GET', '/v2/account/activities/SPLIT')).body as unknown[]
  expect(split).toMatchObject({ net_amount: '0', qty: '30', symbol: 'AAPL' })
})

test('types, categories, direction and pages filter the list', async () => {
  await everything()
  expect(await list('?activity_types=CSD,FEE')).toEqual(['FEE', 'CSD'])
  expect(await list('?activity_types=TRANS&direction=asc')).toEqual(['CSD', 'CSW'])
  expect(await list('?category=trade_activity')).toEqual(['FILL'])
  expect(await list('?category=non_trade_activity')).toHaveLength(6)
  const pages: string[] = []
  for (let token = ''; ;) {
    const { body } = await call(
      sandbox,
      'GET',
      `/v2/account/activities?page_size=2&page_token=${token}`,
    )
    const page = body as { id: string; activity_type: string }[]
    if (page.length === 0) break
    pages.push(...page.map(({ activity_type }) => activity_type))
    token = page.at(-1)?.id ?? ''
  }
  expect(pages).toEqual(await list(''))
  const refused = await call(sandbox, 'GET', '/v2/account/activities?page_token=nope')
  expect(refused.status).toBe(422)
})

test('over HTTP a movement answers its row, and an impossible one its error', async () => {
  const post = (body: unknown) => call(sandbox, 'POST', '/_sandbox/accounts/activities', body, {})
  const deposit = await post({ keyId: 'demo-key', type: 'CSD', amount: '5' })
  expect(deposit).toMatchObject({ status: 200, body: { activity_type: 'CSD', net_amount: '5' } })
  for (const wrong of [
    { type: 'CSW', amount: '999999' },
    { type: 'CSD', amount: '-1' },
    { type: 'DIV', amount: '1' },
    { type: 'DIV', amount: '1', symbol: 'AAPL' },
    { type: 'INT', amount: '1' },
  ]) {
    expect((await post({ keyId: 'demo-key', ...wrong })).status).toBe(422)
  }
})

test('portfolio history is numbers, and deposits are no profit', async () => {
  await everything()
  sandbox.control.setPrice('AAPL', { bid: '30', ask: '30', last: '30' })
  const { portfolioHistory } = officialSdk(sandbox).trading
  const history = await portfolioHistory.getAccountPortfolioHistory({ period: '1D' })
  expect(history.equity?.at(-1)).toBe(99_491 + 40 * 30)
  const { body } = await call(
    sandbox,
    'GET',
    '/v2/account/portfolio/history?period=1W&timeframe=1D&cashflow_types=CSD,FEE',
  )
  expect(body).toMatchObject({ base_value: 100_000, timeframe: '1D' })
  const series = body as Record<
    'timestamp' | 'equity' | 'profit_loss' | 'profit_loss_pct',
    number[]
  >
  const { cashflow } = body as { cashflow: Record<string, number[]> }
  expect(
    new Set([
      ...Object.values(series).flatMap((values) => (Array.isArray(values) ? [values.length] : [])),
    ]).size,
  ).toBe(1)
  // 40 shares at 30, bought for 1000; a dividend of 2.5, a fee of 1.5.
  expect(series.profit_loss.at(-1)).toBe(201)
  expect(
    Object.fromEntries(Object.entries(cashflow).map(([type, values]) => [type, values.at(-1)])),
  ).toEqual({
    CSD: 1000,
    FEE: -1.5,
  })
  expect((await call(sandbox, 'GET', '/v2/account/portfolio/history?timeframe=2Min')).status).toBe(
    422,
  )
  expect(
    (await call(sandbox, 'GET', '/v2/account/portfolio/history?timeframe=1Min&period=1M')).status,
  ).toBe(422)
})
