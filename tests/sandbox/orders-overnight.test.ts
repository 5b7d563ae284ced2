import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { call } from './wire.ts'

/**
 * The night: the cost of a position turns from the day's weighted average into first in, first out
 * over days.
 */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'overnight',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.holdMatching()
})

afterEach(() => sandbox.close())

async function trade(side: 'buy' | 'sell', qty: string, price: string): Promise<void> {
  const order = { symbol: 'AAPL', qty, side, type: 'market', time_in_force: 'day' }
  const { body } = await call(sandbox, 'POST', '/v2/orders', order)
  sandbox.control.fillOrder((body as { id: string }).id, { price })
}

async function night(): Promise<void> {
  expect((await call(sandbox, 'POST', '/_sandbox/day/end', {}, {})).status).toBe(200)
}

const position = async (): Promise<unknown> =>
  (await call(sandbox, 'GET', '/v2/positions/AAPL')).body
const realized = (): string | undefined =>
  sandbox.control.ledger('demo-key').accounts['demo-key']?.realized

test('a sale comes from the oldest day, once the night has passed', async () => {
  await trade('buy', '100', '10')
  await night()
  await trade('buy', '100', '20')
  await trade('sell', '50', '30')
  expect(await position()).toMatchObject({ qty: '150', avg_entry_price: '15', cost_basis: '2250' })
  expect(realized()).toBe('750')
  await night()
  expect(await position()).toMatchObject({
    qty: '150',
    cost_basis: '2500',
    avg_entry_price: '16.666666667',
  })
  expect(realized()).toBe('1000')
})

test('the buys of one day are one lot: a sale on that day changes nothing overnight', async () => {
  await trade('buy', '100', '10')
  await trade('buy', '100', '20')
  await trade('sell', '50', '30')
  await night()
  expect(await position()).toMatchObject({ qty: '150', avg_entry_price: '15', cost_basis: '2250' })
})

test('a night without trades changes nothing', async () => {
  await trade('buy', '3', '10')
  await night()
  await night()
  expect(await position()).toMatchObject({ qty: '3', avg_entry_price: '10' })
})

test('a short is restated like a long, and a flip begins anew', async () => {
  await trade('sell', '10', '20')
  await night()
  await trade('sell', '10', '30')
  await trade('buy', '10', '25')
  await night()
  expect(await position()).toMatchObject({ qty: '-10', avg_entry_price: '30', cost_basis: '-300' })
  await trade('buy', '10', '30')
  await trade('buy', '5', '31')
  await night()
  expect(await position()).toMatchObject({ qty: '5', avg_entry_price: '31' })
})

test('a split between two nights keeps every lot at its cost', async () => {
  await trade('buy', '10', '20')
  await night()
  await trade('buy', '10', '30')
  await trade('sell', '5', '40')
  sandbox.control.moveMoney('demo-key', { type: 'SPLIT', symbol: 'AAPL', amount: '2' })
  await trade('sell', '10', '20')
  await night()
  expect(await position()).toMatchObject({ qty: '20', avg_entry_price: '15', cost_basis: '300' })
})

test('the last price becomes the previous close', async () => {
  sandbox.control.setPrice('AAPL', { last: '200' })
  await trade('buy', '1', '200')
  expect(await position()).toMatchObject({ lastday_price: '185.1', current_price: '200' })
  await night()
  expect(await position()).toMatchObject({
    lastday_price: '200',
    unrealized_intraday_pl: '0',
    change_today: '0',
  })
})
