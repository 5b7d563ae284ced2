import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createProducer, type Producer } from '#producer'
import { createLogger } from '#runtime'
import { type Client, notice, numbers, payloadsOf, signed, Stage } from './harness.ts'

// Every id that the contract allows: one room, one log, one set of keys, for any characters.

let stage: Stage
let producer: Producer
beforeAll(async () => {
  stage = await Stage.open()
  const vaultKeys = [{ kid: 'k1', key: Buffer.alloc(32, 7) }]
  producer = await createProducer({
    redisUrl: stage.redis.url,
    vaultKeys,
    log: createLogger('t', 'silent'),
  })
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await stage[Symbol.asyncDispose]()
})

const ids = [
  'me+trading@example.com',
  'google-oauth2|10',
  '王芳',
  'Žofie',
  '😀'.repeat(128),
  'a/b?c=d&e',
  '%7Buser%7D',
  ...['a#b', 'user:*', '[a-z]', '\\', '"', "' OR 1=1", '<script>', '__proto__'].map((id) =>
    id.replaceAll(' ', '_'),
  ),
  '#############-#####',
  '@@@@@@@@@@@@@-@@@@@',
  '0000000000000-00000',
  'market:AAPL',
  'a\u0378',
]
const closed = (client: Client) =>
  payloadsOf(client, 'connection.closed').map(({ reason }) => reason)

describe('a user id', () => {
  test.each(ids)(
    '%j gets its events, resumes, is limited and logs out, apart from other users',
    async (sub) => {
      const bystander = await stage.authorized({}, 'bystander')
      const token = await signed({ sub, sid: 's' })
      const first = await stage.authorized(
        { auth: { token, lastEventId: '', deviceId: 'd' }, query: {} },
        sub,
      )
      const from = await stage.tell(sub, notice(1))
      await expect.poll(() => numbers(first)).toEqual([1])
      expect(first.heard.at(-1)?.[2]).toMatchObject({ id: from })
      await stage.tell(sub, notice(2))
      const second = await stage.authorized({ auth: { token, lastEventId: from }, query: {} }, sub)
      await expect.poll(() => numbers(second)).toEqual([2])
      expect(
        await second.socket.emitWithAck('market.subscribe', { symbols: ['AAPL'] }),
      ).toMatchObject({ ok: true })
      await producer.sessions.logout({ userId: sub, sessionId: 's' })
      await expect.poll(() => [closed(first), closed(second)]).toEqual([['logout'], ['logout']])
      expect([...numbers(bystander), ...bystander.closed]).toEqual([])
      bystander.socket.disconnect()
    },
  )

  test.each(['a b', 'a{b}', 'e\u0301', 'a\u200bb', '\ud800'])(
    '%j is refused by the relay and by the producer',
    async (sub) => {
      const client = stage.connect({ query: { token: await signed({ sub }) } })
      await expect.poll(() => payloadsOf(client, 'connection.error')).toHaveLength(1)
      expect(payloadsOf(client, 'connection.error')[0]?.message).toContain(
        'sub: use 1 to 128 characters',
      )
      await expect(producer.sessions.logout({ userId: sub })).rejects.toMatchObject({
        fields: ['userId'],
      })
    },
  )
})
