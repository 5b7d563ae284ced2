import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { clientEvents, serverEvents } from '#contract'
import { countPrinted, readFixtures, readPrintedEvents, specIsHere } from './printed-spec.ts'

const schemas = new Map<string, z.ZodType>(
  Object.entries({ ...serverEvents, ...clientEvents }).map(([event, { schema }]) => [
    event,
    schema,
  ]),
)
const schemaOf = (event: string): z.ZodType => {
  const schema = schemas.get(event)
  if (schema === undefined) throw new Error(`no schema for ${event}`)
  return schema
}
const fixtures = readFixtures()

/** Ours, beyond the published contract. */
const EXTENSIONS = ['broker.connected', 'state.resync', 'trade.corrected', 'trade.replaced']

/** Fields whose values the specification lists. */
const LISTED: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'connection.closed': {
    reason: ['logout', 'token_expired', 'duplicate_connection', 'server_shutdown'],
  },
  'connection.error': { error: ['AUTHENTICATION_FAILED', 'RATE_LIMIT_EXCEEDED', 'INTERNAL_ERROR'] },
  'portfolio.balanceChanged': {
    reason: ['TRADE_EXECUTED', 'FUNDS_DEPOSITED', 'FUNDS_WITHDRAWN', 'EXTERNAL_SYNC'],
  },
  'trade.rejected': {
    reason: ['INSUFFICIENT_FUNDS', 'INVALID_SYMBOL', 'MARKET_CLOSED', 'RISK_LIMIT_EXCEEDED'],
  },
  'trade.cancelled': { cancelledBy: ['user', 'system', 'broker'] },
}
const listed = Object.entries(LISTED).flatMap(([event, fields]) =>
  Object.entries(fields).map(([field, values]) => ({ event, field, values })),
)

/**
 * Fields that may be absent: the parts of a sync that were not requested, and values that did not
 * change.
 */
const MAY_BE_ABSENT = new Set([
  'portfolio.positionUpdated updates.currentPrice',
  'portfolio.positionUpdated updates.unrealizedPnL',
  'state.requestSync syncTypes',
  'state.sync portfolio',
  'state.sync positions',
  'state.sync pendingTrades',
])

/** Each field of a payload, at any depth: its path, and the payload without it. */
function* withoutEachField(value: unknown): Generator<[path: string, payload: unknown]> {
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    const isList = Array.isArray(value)
    const rest = Object.entries(value).filter(([other]) => other !== key)
    if (!isList) yield [key, Object.fromEntries(rest)]
    for (const [path, payload] of withoutEachField(inner)) {
      yield [
        `${key}.${path}`,
        isList ? value.with(Number(key), payload) : { ...value, [key]: payload },
      ]
    }
  }
}

describe('the examples of the specification', () => {
  test.each([...fixtures])('%s - its example is valid and read unchanged', (event, example) => {
    expect(schemaOf(event).parse(example)).toEqual(example)
  })

  test.each([...fixtures])('%s - is refused without any one of its fields', (event, example) => {
    const accepted = [...withoutEachField(example)].filter(
      ([, payload]) => schemaOf(event).safeParse(payload).success,
    )
    const expected = [...MAY_BE_ABSENT].filter((entry) => entry.startsWith(`${event} `))
    expect(accepted.map(([path]) => `${event} ${path}`).sort()).toEqual(expected.sort())
  })

  test.each(listed)('$event - $field has exactly the listed values', ({ event, field, values }) => {
    const example = fixtures.get(event) as object
    for (const value of values)
      expect(schemaOf(event).parse({ ...example, [field]: value })).toBeDefined()
    expect(schemaOf(event).safeParse({ ...example, [field]: 'OTHER' }).success).toBe(false)
  })

  test('every event but the extensions has an example', () => {
    expect([...fixtures.keys(), ...EXTENSIONS].sort()).toEqual([...schemas.keys()].sort())
  })
})

describe.skipIf(!specIsHere)('the published specification', () => {
  const printed = specIsHere ? readPrintedEvents() : []

  test('every part of the specification was read', () => {
    // One event line is Socket.IO's own `connection`.
    expect({
      examples: printed.filter(({ example }) => example !== null).length,
      events: printed.length + 1,
    }).toEqual(countPrinted())
  })

  test('its events are those of the contract, in the same direction, but for extensions', () => {
    const names = (from: string) =>
      printed.filter((entry) => entry.from === from).map(({ event }) => event)
    expect([...names('server'), ...EXTENSIONS].sort()).toEqual(Object.keys(serverEvents).sort())
    expect(names('client').sort()).toEqual(Object.keys(clientEvents).sort())
  })

  test('each printed example is the fixture', () => {
    const examples = printed
      .filter(({ example }) => example !== null)
      .map(({ event, example }) => [event, example])
    expect(Object.fromEntries(examples)).toEqual(Object.fromEntries(fixtures))
  })

  test('each printed list of values is the one checked here', () => {
    const lists = printed.filter(({ values }) => Object.keys(values).length > 0)
    expect(Object.fromEntries(lists.map(({ event, values }) => [event, values]))).toEqual(LISTED)
  })
})
