import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, payloadsOf, signed, Stage } from './harness.ts'

// A client without a token gets the error once a minute and address, and is then left without an
// answer until the connect timeout closes.

let stage: Stage
beforeAll(async () => void (stage = await Stage.open({ RELAY_TRUSTED_PROXIES: '1' })))
afterAll(() => stage[Symbol.asyncDispose]())

let addresses = 0
const newAddress = (): string => `10.1.1.${(addresses += 1)}`
const from = (address: string) => ({ extraHeaders: { 'x-forwarded-for': address } })
const failed = (client: Client) => payloadsOf(client, 'connection.error').map(({ error }) => error)

describe('a client without a token', () => {
  test.each<[string, object]>([
    ['no token at all', {}],
    ['an empty one', { query: { token: '' }, auth: { token: '' } }],
    ['null in its place', { auth: { token: null } }],
  ])(
    '(%s) gets an error; its next attempt within a minute gets none',
    { timeout: 20_000 },
    async (_what, how) => {
      const address = newAddress()
      const first = stage.connect({ ...how, ...from(address) })
      await expect.poll(() => first.closed).toHaveLength(1)
      expect(failed(first)).toEqual(['AUTHENTICATION_FAILED'])
      const second = stage.connect({ ...how, ...from(address) })
      const polling = stage.connect({ ...how, ...from(address), transports: ['polling'] })
      const startMs = performance.now()
      await expect
        .poll(() => second.closed.length + polling.closed.length, { timeout: 15_000 })
        .toBe(2)
      expect(performance.now() - startMs).toBeGreaterThan(3_000) // left to wait, which slows a client down
      expect([...second.names(), ...polling.names()]).toEqual([])
    },
  )

  test('delays no client with a token, from the same address, in either place', async () => {
    const address = newAddress()
    const first = stage.connect(from(address))
    await expect.poll(() => failed(first)).toEqual(['AUTHENTICATION_FAILED'])
    await stage.authorized({ ...from(address), query: {}, auth: { token: await signed() } })
    await stage.authorized({ ...from(address), query: { token: await signed() } })
    const bad = stage.connect({
      ...from(address),
      auth: { token: await signed({ aud: 'another' }) },
    })
    await expect.poll(() => failed(bad)).toEqual(['AUTHENTICATION_FAILED'])
  })

  test('gets the error at another address, and again after a minute', async () => {
    const address = newAddress()
    const told = async (at: string): Promise<void> => {
      const client = stage.connect(from(at))
      await expect.poll(() => failed(client)).toEqual(['AUTHENTICATION_FAILED'])
    }
    await told(address)
    await told(newAddress())
    stage.clock.aheadMs += 60_001
    await told(address)
  })
})
