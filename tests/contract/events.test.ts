import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  clientEvents,
  type LoggedEvent,
  PENDING_STATUSES,
  type ServerEventName,
  serverEvents,
  SYMBOLS_PER_SOCKET_MAX,
} from '#contract'
import { readFixtures } from './printed-spec.ts'

const fixtures = readFixtures()
const example = (event: string) => fixtures.get(event) as Record<string, unknown>
const accepts = (event: ServerEventName, payload: unknown) =>
  serverEvents[event].schema.safeParse(payload).success
const timestamp = '2024-03-15T14:23:15.000Z'
const ofTrade = {
  userId: 'u1',
  timestamp,
  brokerConnectionId: 'broker_1',
  tradeId: 'trade_1',
  symbol: 'AAPL',
}

const extensions: [event: ServerEventName, payload: object][] = [
  ['broker.connected', { brokerType: 'alpaca', brokerConnectionId: 'broker_1', timestamp }],
  [
    'trade.replaced',
    { ...ofTrade, quantity: 5, limitPrice: null, brokerOrderId: 'b-2', replacedAt: timestamp },
  ],
  [
    'trade.corrected',
    {
      ...ofTrade,
      filledQuantity: 4,
      averageFillPrice: 10.5,
      reason: 'trade busted',
      correctedAt: timestamp,
    },
  ],
  ['state.resync', { reason: 'the event log was lost', timestamp }],
]

const told: [what: string, event: ServerEventName, fields: object][] = [
  [
    'no stop',
    'portfolio.positionAdded',
    {
      position: {
        ...(example('portfolio.positionAdded')['position'] as object),
        stopLossPrice: null,
      },
    },
  ],
  [
    'no bid, ask or last',
    'market.quote',
    { bid: null, ask: null, last: null, change: null, changePercent: null },
  ],
  ['sized in money', 'trade.submitted', { quantity: null, notional: 1000 }],
  ['sized in money, rejected', 'trade.rejected', { quantity: null, notional: 1000 }],
  ['sized in money, cancelled', 'trade.cancelled', { quantity: null, filledQuantity: 0 }],
  ['the precise cause', 'trade.rejected', { code: 'BROKER_REJECTED', brokerCode: '40310000' }],
  ['where the stream starts', 'connection.authorized', { lastEventId: '1526919030474-00005' }],
  ['where the snapshot was taken', 'state.sync', { lastEventId: '0000000000000-00000' }],
  ['a short position', 'portfolio.positionClosed', { quantity: -5, realizedPnL: -12.5 }],
]

const refused: [what: string, event: ServerEventName, fields: object][] = [
  ['money as text', 'portfolio.balanceChanged', { newBalance: '48200.00' }],
  ['NaN', 'trade.filled', { fillPrice: NaN }],
  ['a date without a time', 'trade.filled', { filledAt: '2024-03-15' }],
  ['a time with an offset', 'trade.filled', { filledAt: '2024-03-15T14:23:15.000-04:00' }],
  ['a time in milliseconds', 'market.quote', { timestamp: 1710512595000 }],
  ['a fill before its submission', 'trade.filled', { executionTime: -1 }],
  ['an event id that is not padded', 'state.sync', { lastEventId: '1526919030474-5' }],
  ['a side that does not exist', 'trade.submitted', { side: 'hold' }],
  ['a null price', 'trade.filled', { fillPrice: null }],
]

describe('server events', () => {
  test('account events are logged, events of one connection are not, quotes may drop', () => {
    const by = (delivery: string) =>
      Object.entries(serverEvents).flatMap(([event, entry]) =>
        entry.delivery === delivery ? [event] : [],
      )
    expect(by('volatile')).toEqual(['market.quote'])
    expect(by('socket').sort()).toEqual([
      'connection.authorized',
      'connection.closed',
      'connection.error',
      'error.rateLimitWarning',
      'state.sync',
      'token.expiring',
    ])
    expect(by('logged').filter((event) => !/^(trade|portfolio)\./.test(event))).toEqual([
      'error.brokerDisconnected',
      'broker.connected',
      'state.resync',
    ])
    expect(by('logged')).toHaveLength(14)
  })

  test('only logged events can be written to the log', () => {
    expectTypeOf<'trade.filled'>().toExtend<LoggedEvent['event']>()
    expectTypeOf<'market.quote'>().not.toExtend<LoggedEvent['event']>()
    expectTypeOf<'state.sync'>().not.toExtend<LoggedEvent['event']>()
  })

  test.each(extensions)('%s - an extension is read unchanged', (event, payload) => {
    expect(serverEvents[event].schema.parse(payload)).toEqual(payload)
    for (const field of Object.keys(payload).filter(
      (name) => name !== 'brokerConnectionId' || event === 'broker.connected',
    )) {
      expect(accepts(event, { ...payload, [field]: undefined }), field).toBe(false)
    }
  })

  test.each([...fixtures.keys()].filter((event) => event in serverEvents) as ServerEventName[])(
    '%s - a field from the future is kept',
    (event) => {
      const payload = { ...example(event), fromTheFuture: { deep: [1] } }
      expect(serverEvents[event].schema.parse(payload)).toEqual(payload)
    },
  )

  test.each(told)('%s is valid - %s', (_what, event, fields) => {
    expect(serverEvents[event].schema.parse({ ...example(event), ...fields })).toMatchObject(fields)
  })

  test.each(refused)('%s is refused - %s', (_what, event, fields) => {
    expect(accepts(event, { ...example(event), ...fields })).toBe(false)
  })

  test('a sync has every pending status, and the accounts behind the totals', () => {
    const totals = { totalValue: 10, cashBalance: 4, positionsValue: 6 }
    const trade = {
      id: 't',
      symbol: 'AAPL',
      quantity: null,
      notional: 50,
      orderType: 'market',
      limitPrice: null,
    }
    const sync = {
      portfolio: { ...totals, accounts: [{ brokerConnectionId: 'broker_1', ...totals }] },
      pendingTrades: PENDING_STATUSES.map((status) => ({ ...trade, status })),
      timestamp,
    }
    expect(serverEvents['state.sync'].schema.parse(sync)).toEqual(sync)
    expect(
      accepts('state.sync', { ...sync, pendingTrades: [{ ...trade, status: 'filled' }] }),
    ).toBe(false)
  })
})

describe('client events', () => {
  const symbols = (count: number) => ({ symbols: Array.from({ length: count }, (_, i) => `S${i}`) })

  test.each(['market.subscribe', 'market.unsubscribe'] as const)(
    '%s - takes up to the limit of symbols',
    (event) => {
      const { schema } = clientEvents[event]
      expect(schema.safeParse(symbols(SYMBOLS_PER_SOCKET_MAX)).success).toBe(true)
      for (const bad of [
        symbols(SYMBOLS_PER_SOCKET_MAX + 1),
        symbols(0),
        { symbols: 'AAPL' },
        { symbols: ['aapl'] },
        { symbols: [null] },
        { symbols: ['AAPL', 'user:u1'] },
        null,
        undefined,
        'AAPL',
      ]) {
        expect(schema.safeParse(bad).success, JSON.stringify(bad)).toBe(false)
      }
    },
  )

  test('state.requestSync - an empty request asks for every part', () => {
    const { schema } = clientEvents['state.requestSync']
    for (const nothing of [undefined, null, {}]) expect(schema.parse(nothing)).toEqual({})
    expect(schema.parse({ syncTypes: ['trades'] })).toEqual({ syncTypes: ['trades'] })
    expect(schema.safeParse({ syncTypes: ['secrets'] }).success).toBe(false)
    expect(schema.safeParse('portfolio').success).toBe(false)
  })

  test('an unknown field is dropped, not passed on', () => {
    expect(
      clientEvents['market.subscribe'].schema.parse({ symbols: ['AAPL'], userId: 'u2' }),
    ).toEqual({
      symbols: ['AAPL'],
    })
    expect(clientEvents['state.requestSync'].schema.parse({ userId: 'u2' })).toEqual({})
  })
})
