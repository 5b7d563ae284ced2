import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Asset } from '#domain'
import { createAssets } from '#store'
import { payloadsOf, Stage } from './harness.ts'

let users = 0
const newUser = (): string => `commander-${(users += 1)}`
const asset = (symbol: string, isTradable = true): Asset => ({
  symbol,
  assetClass: symbol.includes('/') ? 'crypto' : 'us_equity',
  isTradable,
  isFractionable: true,
  isShortable: true,
  quantityMin: null,
  quantityIncrement: null,
  priceIncrement: null,
})

describe('a command', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await Stage.open()
    const list = ['AAPL', 'ETH/USD', 'TSLA'].map((symbol) => asset(symbol))
    await createAssets(stage.redis.connect(), () => 'd').put('paper', [
      ...list,
      asset('RGC', false),
    ])
  })
  afterAll(() => stage[Symbol.asyncDispose]())

  test.each(['market.subscribed', 'state', 'constructor', '__proto__', 'trade.filled'])(
    'that does not exist (%s) gets an error, where the client wants an answer',
    async (name) => {
      const client = await stage.authorized({}, newUser())
      client.socket.emit(name, {})
      expect(await client.socket.emitWithAck(name, {})).toMatchObject({
        ok: false,
        error: 'UNKNOWN_COMMAND',
      })
      expect(await client.socket.emitWithAck('state.requestSync')).toMatchObject({ ok: true })
    },
  )

  test('market.subscribe names unknown or untradable symbols, and watches the others', async () => {
    const client = await stage.authorized({}, newUser())
    expect(
      await client.socket.emitWithAck('market.subscribe', {
        symbols: ['AAPL', 'ZZZZ', 'ETHUSD', 'RGC'],
      }),
    ).toEqual({
      ok: true,
      symbols: ['AAPL', 'ETH/USD'],
      subscribed: ['AAPL', 'ETH/USD'],
      refused: [
        { symbol: 'ZZZZ', reason: 'UNKNOWN_SYMBOL' },
        { symbol: 'RGC', reason: 'NOT_TRADABLE' },
      ],
    })
    expect(
      await client.socket.emitWithAck('market.subscribe', { symbols: ['AAPL', 'TSLA'] }),
    ).toEqual({
      ok: true,
      symbols: ['AAPL', 'ETH/USD', 'TSLA'],
      subscribed: ['AAPL', 'TSLA'],
      refused: [],
    })
  })

  test('a greeting with such symbols is accepted with a warning', async () => {
    const client = await stage.authorized({ auth: { symbols: ['ZZZZ', 'AAPL'] } }, newUser())
    expect(payloadsOf(client, 'connection.authorized')[0]?.warnings).toEqual([
      { field: 'symbols', message: 'ZZZZ: UNKNOWN_SYMBOL' },
    ])
    expect(
      await client.socket.emitWithAck('market.unsubscribe', { symbols: ['TSLA'] }),
    ).toMatchObject({
      symbols: ['AAPL'],
    })
  })
})

describe('while Redis is away', () => {
  test.each<[string, object, object]>([
    ['market.subscribe', { symbols: ['AAPL'] }, { ok: true }],
    ['state.requestSync', {}, { error: 'STATE_UNAVAILABLE' }], // this Redis comes back empty
  ])(
    '%s is answered within two seconds, and works again when Redis is back',
    async (name, payload, later) => {
      await using stage = await Stage.open()
      const client = await stage.authorized()
      await stage.redis.kill()
      const startMs = performance.now()
      const answer: unknown = await client.socket.timeout(5_000).emitWithAck(name, payload)
      expect(answer).toMatchObject({ ok: false, error: 'UNAVAILABLE' })
      expect(performance.now() - startMs).toBeLessThan(2_000)
      await stage.redis.restart()
      await expect
        .poll(() => client.socket.timeout(5_000).emitWithAck(name, payload) as Promise<unknown>, {
          interval: 1_000,
        })
        .toMatchObject(later)
    },
  )
})
