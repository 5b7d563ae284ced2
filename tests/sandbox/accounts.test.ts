import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { readFlags } from '../../src/apps/sandbox/flags.ts'
import { readAccountsFile } from '../../src/apps/sandbox/control/accounts.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { officialSdk } from './official-sdk.ts'
import { call } from './wire.ts'

/** Accounts: how they are opened, limited and set. */

let sandbox: Sandbox
const clock = new FakeClock()

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'accounts',
    clock,
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
})

afterEach(() => sandbox.close())

const short = { symbol: 'AAPL', qty: '1', side: 'sell', type: 'market', time_in_force: 'day' }
const keysOf = (keyId: string) => ({ 'apca-api-key-id': keyId, 'apca-api-secret-key': 's' })

describe('opening', () => {
  test('an account is opened with cash, multiplier and flags', async () => {
    const setup = {
      keyId: 'k',
      secret: 's',
      cash: '5000',
      multiplier: 4,
      flags: { shortingEnabled: false },
    }
    expect((await call(sandbox, 'POST', '/_sandbox/accounts', setup, {})).status).toBe(200)
    const account = await call(sandbox, 'GET', '/v2/account', undefined, keysOf('k'))
    expect(account.body).toMatchObject({
      cash: '5000',
      buying_power: '20000',
      shorting_enabled: false,
    })
    const refused = await call(sandbox, 'POST', '/v2/orders', short, keysOf('k'))
    expect(refused).toMatchObject({
      status: 403,
      body: { message: 'account is not allowed to short' },
    })
  })

  test('accounts come from a file, and a wrong file is named', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'accounts-'))
    const file = join(folder, 'accounts.json')
    await writeFile(
      file,
      JSON.stringify([{ keyId: 'k', secret: 's', flags: { accountBlocked: true } }]),
    )
    await using server = await startSandbox({ tickMs: 0, accounts: readAccountsFile(file) })
    const account = await call(server, 'GET', '/v2/account', undefined, keysOf('k'))
    expect(account.body).toMatchObject({ cash: '100000', account_blocked: true })
    await writeFile(file, '[{"keyId":"k"}]')
    expect(() => readAccountsFile(file)).toThrow(/accounts\.json: .*expected string/s)
    await rm(folder, { recursive: true })
    expect(() => readAccountsFile(file)).toThrow('no such file')
  })

  test('a bearer token opens the account for REST', async () => {
    sandbox.control.addAccount({ keyId: 'k', secret: 's', cash: '7', oauthToken: 'token' })
    const withToken = (authorization: string) =>
      call(sandbox, 'GET', '/v2/account', undefined, { authorization })
    expect((await withToken('Bearer token')).body).toMatchObject({ cash: '7' })
    expect((await withToken('Bearer other')).status).toBe(401)
    sandbox.control.revokeKey('k')
    expect((await withToken('Bearer token')).status).toBe(401)
  })
})

describe('rate limits', () => {
  test('the SDK gets the limit, when it is over, and when to retry', async () => {
    sandbox.control.setRateLimit('demo-key', { perMinute: 2 })
    const { trading } = officialSdk(sandbox)
    const answer = await call(sandbox, 'GET', '/v2/clock')
    const reset = String(Math.ceil((clock.now() + 60_000) / 1000))
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '1',
      'x-ratelimit-reset': reset,
    })
    await trading.account.getAccount()
    await expect(trading.account.getAccount()).rejects.toMatchObject({
      name: 'RateLimitError',
      status: 429,
      code: 42910000,
      rateLimit: { limit: 2, remaining: 0 },
    })
    expect((await call(sandbox, 'GET', '/v2/stocks/snapshots?symbols=AAPL')).status).toBe(200)
    await clock.advance(60_000)
    await expect(trading.account.getAccount()).resolves.toBeDefined()
  })

  test('without headers a refusal has only its body, and other accounts are not limited', async () => {
    sandbox.control.setRateLimit('demo-key', { perMinute: 0, headers: false })
    const answer = await call(sandbox, 'GET', '/v2/clock')
    expect(answer).toMatchObject({
      status: 429,
      body: { code: 42910000, message: 'rate limit exceeded' },
    })
    expect([...answer.headers.keys()].filter((name) => /ratelimit|retry/.test(name))).toEqual([])
    const other = { 'apca-api-key-id': 'demo-key-2', 'apca-api-secret-key': 'demo-secret-2' }
    expect((await call(sandbox, 'GET', '/v2/clock', undefined, other)).status).toBe(200)
    await call(sandbox, 'POST', '/_sandbox/accounts/rate-limit', { keyId: 'demo-key' }, {})
    expect((await call(sandbox, 'GET', '/v2/clock')).status).toBe(200)
  })
})

describe('the limit of all accounts', () => {
  test('holds for each account, headers and all, but not on 429; Retry-After never', async () => {
    const rateLimit = { perMinute: 2, headers: 'until_over' } as const
    await using server = await startSandbox({ clock, tickMs: 0, rateLimit })
    const { trading } = officialSdk(server)
    const first = await call(server, 'GET', '/v2/clock')
    expect(Object.fromEntries(first.headers)).toMatchObject({
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '1',
    })
    await trading.account.getAccount()
    await expect(trading.account.getAccount()).rejects.toMatchObject({
      name: 'RateLimitError',
      status: 429,
      code: 42910000,
      rateLimit: undefined,
      retryAfterMs: undefined,
    })
    const other = { 'apca-api-key-id': 'demo-key-2', 'apca-api-secret-key': 'demo-secret-2' }
    expect((await call(server, 'GET', '/v2/clock', undefined, other)).status).toBe(200)
    server.control.setRateLimit('demo-key')
    for (let request = 0; request < 3; request += 1) await trading.account.getAccount()
    server.control.setRateLimit('demo-key-2', { perMinute: 0 })
    const told = await call(server, 'GET', '/v2/clock', undefined, other)
    expect([...told.headers.keys()].filter((name) => /ratelimit|retry/.test(name))).toHaveLength(3)
  })

  test.each([
    [[], { perMinute: 200, headers: true }],
    [
      ['--rate-limit', '30', '--rate-limit-headers', 'until-over'],
      { perMinute: 30, headers: 'until_over' },
    ],
    [['--rate-limit-headers', 'never'], { perMinute: 200, headers: false }],
    [['--rate-limit', '0'], undefined],
  ])('on the command line %o means %o', (flags, rateLimit) => {
    const options = readFlags(flags)
    expect(options === 'help' ? options : options.rateLimit).toEqual(rateLimit)
  })
})

describe('configurations', () => {
  const fractions = [
    { symbol: 'AAPL', qty: '0.5', side: 'buy', type: 'market', time_in_force: 'day' },
    { symbol: 'AAPL', notional: '50', side: 'buy', type: 'market', time_in_force: 'day' },
  ]
  test.each(fractions)(
    'without fractional trading %o is refused; shares and coins are not',
    async (order) => {
      await call(sandbox, 'PATCH', '/v2/account/configurations', { fractional_trading: false })
      expect(await call(sandbox, 'POST', '/v2/orders', order)).toMatchObject({
        status: 403,
        body: { code: 40310000, message: 'account is not allowed to trade fractional shares' },
      })
      const coins = {
        symbol: 'BTC/USD',
        qty: '0.1',
        side: 'buy',
        type: 'market',
        time_in_force: 'gtc',
      }
      expect((await call(sandbox, 'POST', '/v2/orders', coins)).status).toBe(200)
      expect((await call(sandbox, 'POST', '/v2/orders', { ...short, side: 'buy' })).status).toBe(
        200,
      )
      const answer = await call(sandbox, 'PATCH', '/v2/account/configurations', {
        fractional_trading: true,
      })
      expect(answer.body).toMatchObject({ fractional_trading: true })
      expect((await call(sandbox, 'POST', '/v2/orders', order)).status).toBe(200)
    },
  )

  test('no trade overnight: an evening order for extended hours works from 4:00', async () => {
    await using night = await startSandbox({
      time: 'virtual',
      marketOpen: 'calendar',
      tickMs: 0,
      fillDelayMs: 0,
    })
    await call(night, 'PATCH', '/v2/account/configurations', { disable_overnight_trading: true })
    // From 9:30 to 21:00 of a Tuesday.
    await night.control.advanceTime(11.5 * 3_600_000)
    const order = { ...short, side: 'buy', type: 'limit', limit_price: '500', extended_hours: true }
    const { body } = await call(night, 'POST', '/v2/orders', order)
    const state = async () =>
      (await call(night, 'GET', `/v2/orders/${(body as { id: string }).id}`)).body
    await night.control.advanceTime(6.9 * 3_600_000)
    expect(await state()).toMatchObject({ status: 'accepted', filled_qty: '0' })
    await night.control.advanceTime(0.2 * 3_600_000)
    expect(await state()).toMatchObject({ status: 'filled', filled_qty: '1' })
  })

  test('are read and changed with the SDK, and take effect', async () => {
    const { accountConfigurations } = officialSdk(sandbox).trading
    expect(await accountConfigurations.getAccountConfig()).toMatchObject({
      noShorting: false,
      suspendTrade: false,
    })
    const changed = await call(sandbox, 'PATCH', '/v2/account/configurations', {
      suspend_trade: true,
      no_shorting: true,
      max_margin_multiplier: '1',
      trade_confirm_email: 'none',
    })
    expect(changed.body).toEqual({
      suspend_trade: true,
      no_shorting: true,
      max_margin_multiplier: '1',
      fractional_trading: true,
      trade_confirm_email: 'none',
      ptp_no_exception_entry: false,
      max_options_trading_level: null,
      disable_overnight_trading: false,
    })
    const account = (await call(sandbox, 'GET', '/v2/account')).body
    expect(account).toMatchObject({
      multiplier: '1',
      buying_power: '100000',
      trade_suspended_by_user: true,
    })
    const refused = await call(sandbox, 'POST', '/v2/orders', short)
    expect(refused).toMatchObject({
      status: 403,
      body: { message: 'new orders are rejected by user request' },
    })
  })

  test('a wrong setting changes nothing', async () => {
    const refused = await call(sandbox, 'PATCH', '/v2/account/configurations', {
      suspend_trade: true,
      no_shorting: 'x',
    })
    expect(refused).toMatchObject({ status: 422, body: { code: 40010001 } })
    expect((await call(sandbox, 'GET', '/v2/account/configurations')).body).toMatchObject({
      suspend_trade: false,
    })
  })
})
