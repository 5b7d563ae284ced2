import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, payloadsOf, signed, Stage } from './harness.ts'

// Fields of `auth` other than the token may be wrong, and the connection is still accepted.

let stage: Stage
beforeAll(async () => void (stage = await Stage.open()))
afterAll(() => stage[Symbol.asyncDispose]())

let users = 0
const newUser = (): string => `greeter-${(users += 1)}`
const warnedOf = (client: Client): (string | undefined)[] =>
  payloadsOf(client, 'connection.authorized').flatMap(({ warnings = [] }) =>
    warnings.map(({ field }) => field),
  )

describe('a greeting that does not fit', () => {
  test.each<[string, object, string[]]>([
    ['no symbols', { symbols: [] }, ['symbols']],
    ['symbols that are null', { symbols: null }, ['symbols']],
    ['symbols in a text', { symbols: 'AAPL,TSLA' }, ['symbols']],
    ['too many symbols', { symbols: Array.from({ length: 101 }, (_, n) => `S${n}`) }, ['symbols']],
    ['one symbol in lower case', { symbols: ['AAPL', 'tsla'] }, ['symbols.1']],
    ['a symbol that is no text', { symbols: [7, 'AAPL'] }, ['symbols.0']],
    ['a device that is null', { deviceId: null }, ['deviceId']],
    ['a device with a space', { deviceId: 'my phone' }, ['deviceId']],
    ['a last event id from elsewhere', { lastEventId: '17-3' }, ['lastEventId']],
    [
      'all of it',
      { symbols: {}, deviceId: 5, lastEventId: 5 },
      ['deviceId', 'symbols', 'lastEventId'],
    ],
  ])(
    '%s, is dropped with a reason, and the rest and its token are accepted',
    async (_what, greeting, fields) => {
      const user = newUser()
      const token = await signed({ sub: user })
      const client = await stage.authorized({ auth: { token, ...greeting }, query: {} }, user)
      expect(warnedOf(client)).toEqual(fields)
      const neighbour = await stage.authorized({ auth: { token }, query: {} }, user)
      expect(payloadsOf(neighbour, 'connection.authorized')[0]).not.toHaveProperty('warnings')
      expect([...client.closed, ...neighbour.closed]).toEqual([])
    },
  )

  test('does not affect the other fields', async () => {
    const user = newUser()
    const client = await stage.authorized(
      { auth: { symbols: ['AAPL', 'tsla', 'BTC/USD'], deviceId: 'phone' } },
      user,
    )
    expect(
      await client.socket.emitWithAck('market.unsubscribe', { symbols: ['ZZZ'] }),
    ).toMatchObject({
      symbols: ['AAPL', 'BTC/USD'],
    })
    await stage.authorized({ auth: { symbols: null, deviceId: 'phone' } }, user)
    await expect.poll(() => client.names()).toContain('connection.closed')
  })

  test.each([{}, { unknown: 1 }, { lastEventId: '' }, { symbols: ['AAPL'], deviceId: 'd' }])(
    '%j fits, and gives no warning',
    async (greeting) => {
      const client = await stage.authorized({ auth: greeting }, newUser())
      expect(client.heard[0]?.[1]).not.toHaveProperty('warnings')
    },
  )
})
