import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Fault, type Sandbox, startSandbox } from '#sandbox'
import { officialSdk } from './official-sdk.ts'
import { call } from './wire.ts'

/** Each fault of a request, as the official SDK sees it, and as the broker's books record it. */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'faults', fillDelayMs: 0, tickMs: 0, partialFills: false })
})

afterEach(() => sandbox.close())

const buy = (clientOrderId: string) =>
  ({
    symbol: 'AAPL',
    qty: '1',
    side: 'buy',
    type: 'market',
    timeInForce: 'day',
    clientOrderId,
  }) as const
const submit = (clientOrderId = 'c1', timeoutMs = 5_000): Promise<unknown> =>
  officialSdk(sandbox, { retry: false, timeoutMs }).trading.orders.postOrder({
    postOrderRequest: buy(clientOrderId),
  })
const taken = (): number =>
  sandbox.control.ledger('demo-key').accounts['demo-key']?.orders.length ?? 0
const ordersOnly = { method: 'POST', path: '/v2/orders' } as const

const seen = { fetchFailed: { name: 'FetchError' }, syntax: { name: 'SyntaxError' } }

describe('a submit', () => {
  type Row = [fault: Fault, error: Record<string, unknown>, taken: number]
  test.each<Row>([
    [{ kind: 'lose_request' }, seen.fetchFailed, 0],
    [{ kind: 'drop_answer' }, seen.fetchFailed, 1],
    [{ kind: 'error_before' }, { name: 'ApiError', status: 500, code: 50010000 }, 0],
    [{ kind: 'error_before', status: 503 }, { name: 'ApiError', status: 503 }, 0],
    [{ kind: 'error_before', status: 504 }, { name: 'ApiError', status: 504 }, 0],
    [{ kind: 'error_after' }, { name: 'ApiError', status: 500, code: 50010000 }, 1],
    [{ kind: 'error_after', status: 503 }, { name: 'ApiError', status: 503 }, 1],
    [{ kind: 'error_after', status: 504 }, { name: 'ApiError', status: 504 }, 1],
    [
      { kind: 'rate_limit' },
      { name: 'RateLimitError', status: 429, code: 42910000, retryAfterMs: 1000 },
      0,
    ],
    [
      { kind: 'rate_limit', headers: false },
      { name: 'RateLimitError', status: 429, retryAfterMs: undefined },
      0,
    ],
    [
      { kind: 'html_error' },
      { name: 'ApiError', status: 503, message: expect.stringContaining('<html>') },
      0,
    ],
    [{ kind: 'truncated_answer' }, seen.syntax, 1],
    [{ kind: 'empty_answer' }, seen.syntax, 1],
    [{ kind: 'not_permitted' }, { name: 'AuthError', status: 401, code: 40110000 }, 0],
  ])('%o appears in the SDK as %o', async (fault, error, orders) => {
    sandbox.control.armFault({ ...fault, ...ordersOnly })
    await expect(submit()).rejects.toMatchObject(error)
    expect(taken()).toBe(orders)
    expect(sandbox.control.faults()).toEqual([])
  })

  test('that is answered past the timeout was accepted, and its repeat is a duplicate', async () => {
    sandbox.control.armFault({ kind: 'delay_answer', ...ordersOnly })
    await expect(submit('c1', 200)).rejects.toMatchObject({
      name: 'FetchError',
      cause: { name: 'TimeoutError' },
    })
    expect(taken()).toBe(1)
    await expect(submit('c1')).rejects.toMatchObject({
      status: 422,
      message: 'client_order_id must be unique',
    })
  })

  test('that is only slow is answered in the end', async () => {
    sandbox.control.armFault({ kind: 'delay_answer', delayMs: 50, ...ordersOnly })
    await expect(submit()).resolves.toMatchObject({ clientOrderId: 'c1' })
  })

  test('whose connection was cut shows a failed fetch as its cause', async () => {
    sandbox.control.armFault({ kind: 'lose_request', ...ordersOnly })
    await expect(submit()).rejects.toMatchObject({
      cause: { message: 'fetch failed', cause: { code: 'UND_ERR_SOCKET' } },
    })
    expect(sandbox.control.ledger().requestsReceived).toBe(0)
  })
})

describe('arming', () => {
  test('the nth match fails, the given number of times, for that account and path only', async () => {
    sandbox.control.armFault({
      kind: 'error_before',
      nth: 2,
      count: 2,
      keyId: 'demo-key',
      ...ordersOnly,
    })
    const { trading } = officialSdk(sandbox)
    const other = { 'apca-api-key-id': 'demo-key-2', 'apca-api-secret-key': 'demo-secret-2' }
    const order = { symbol: 'AAPL', qty: '1', side: 'buy', type: 'market', time_in_force: 'day' }
    await expect(submit('a')).resolves.toBeDefined()
    expect((await call(sandbox, 'POST', '/v2/orders', order, other)).status).toBe(200)
    await expect(trading.account.getAccount()).resolves.toBeDefined()
    await expect(submit('b')).rejects.toMatchObject({ status: 500 })
    expect(sandbox.control.faults()).toMatchObject([{ kind: 'error_before', seen: 2, fired: 1 }])
    await expect(submit('c')).rejects.toMatchObject({ status: 500 })
    await expect(submit('d')).resolves.toBeDefined()
    expect(sandbox.control.faults()).toEqual([])
  })

  test('over HTTP a fault is armed, listed and disarmed; a wrong one gets its error', async () => {
    const control = (method: string, path: string, body?: unknown) =>
      call(sandbox, method, `/_sandbox/${path}`, body, {})
    const armed = await control('POST', 'faults', {
      kind: 'html_error',
      path: '/v2/orders*',
      status: 502,
    })
    expect(armed).toMatchObject({
      status: 200,
      body: { id: 'fault-1', kind: 'html_error', seen: 0, fired: 0 },
    })
    expect((await control('GET', 'faults')).body).toEqual({ faults: [armed.body] })
    expect((await control('DELETE', 'faults?id=fault-1')).body).toEqual({ disarmed: 1 })
    expect((await control('DELETE', 'faults')).body).toEqual({ disarmed: 0 })
    await expect(submit()).resolves.toBeDefined()
    expect((await control('POST', 'faults', { kind: 'gremlins' })).status).toBe(422)
    expect((await control('POST', 'faults', { kind: 'html_error', keyId: 'nobody' })).status).toBe(
      422,
    )
  })

  test('the SDK itself retries a failed read, never a submit', async () => {
    sandbox.control.armFault({ kind: 'error_before', status: 503, path: '/v2/account' })
    await expect(officialSdk(sandbox, {}).trading.account.getAccount()).resolves.toMatchObject({
      status: 'ACTIVE',
    })
    expect(sandbox.control.ledger().requests.map(({ status }) => status)).toEqual([503, 200])
  })

  test('the data host has its own text for too many requests', async () => {
    sandbox.control.armFault({ kind: 'rate_limit', path: '/v2/stocks*', headers: false })
    const answer = await call(sandbox, 'GET', '/v2/stocks/snapshots?symbols=AAPL')
    expect(answer).toMatchObject({ status: 429, body: { message: 'too many requests.' } })
    expect(answer.headers.has('retry-after')).toBe(false)
  })
})

describe('by chance', () => {
  /** The outcome of twenty reads: a status, or no answer. */
  const statuses = async (faultSeed: string): Promise<unknown[]> => {
    await using server = await startSandbox({ seed: 'one', faultSeed, faultShare: 0.5, tickMs: 0 })
    const results: unknown[] = []
    for (let i = 0; i < 20; i += 1) {
      const init = {
        headers: { 'apca-api-key-id': 'demo-key', 'apca-api-secret-key': 'demo-secret' },
      }
      const result = fetch(`${server.url}/v2/clock`, { ...init, signal: AbortSignal.timeout(300) })
      results.push(await result.then(({ status }) => status).catch(() => 'none'))
    }
    return results
  }

  test('the same fault seed fails alike, another one differently', async () => {
    const first = await statuses('a')
    const again = await statuses('a')
    const other = await statuses('b')
    expect(again).toEqual(first)
    expect(other).not.toEqual(first)
    expect(new Set(first).size).toBeGreaterThan(2)
  })

  test('chance is switched off by command, and never affects a control call', async () => {
    await using server = await startSandbox({ faultShare: 1, tickMs: 0 })
    const off = await call(server, 'POST', '/_sandbox/faults/share', { share: 0 }, {})
    expect(off.status).toBe(200)
    expect((await call(server, 'GET', '/v2/clock')).status).toBe(200)
  })
})
