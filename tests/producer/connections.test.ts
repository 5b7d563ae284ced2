import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queues } from '#contract'
import {
  ConnectionConflictError,
  createProducer,
  type InvalidRequestError,
  type Producer,
} from '#producer'
import { createConnections, createLinks, createStore, createVault, type Health } from '#store'
import { startRedis, type TestRedis } from '../support/redis.ts'

const log = pino({ level: 'silent' })
const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]
const credentials = { keyId: 'K', secretKey: 'S3CRET' }
const connect = { userId: 'alice', connectionId: 'broker_1', env: 'sandbox', credentials } as const

let redis: TestRedis
let producer: Producer
beforeAll(async () => {
  redis = await startRedis()
  producer = await createProducer({ redisUrl: redis.url, vaultKeys, log })
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await redis.stop()
})

describe('connections.connect', () => {
  test('credentials in Redis are sealed', async () => {
    await producer.connections.connect(connect)
    const connection = redis.connect()
    const records = await connection.hgetall('control:{alice}')
    expect(Object.keys(records)).toEqual(['connection:broker_1'])
    expect(JSON.stringify(records)).not.toContain('S3CRET')
    expect(await connection.zrange('controls', 0, -1)).toEqual(['alice'])
  })

  test('an access token is accepted in place of a key pair', async () => {
    const made = await producer.connections.connect({
      ...connect,
      userId: 'oauth',
      credentials: { accessToken: 'S3CRET' },
    })
    const record = (await createConnections(redis.connect()).get({ userId: 'oauth', ...made }))!
    const { credentials: opened } = await createVault(vaultKeys).open(record, record.sealed)
    expect(opened).toEqual({ accessToken: 'S3CRET' })
  })

  test('makes an id where none is given', async () => {
    const { userId, env } = connect
    const made = await producer.connections.connect({ userId, env, credentials })
    expect(made.connectionId).toMatch(/^broker_[\w-]{16}$/)
  })

  test.each([
    ['userId', { ...connect, userId: 'a}b' }],
    ['env', { ...connect, env: 'moon' }],
    ['credentials', { ...connect, credentials: undefined }],
    ['credentials', { ...connect, credentials: { keyId: 'K' } }],
    ['conectionId', { ...connect, connectionId: undefined, conectionId: 'broker_1' }],
    ['environment', { ...connect, environment: 'live' }],
    [
      'credentials',
      { ...connect, credentials: { keyId: 'K', secretKey: 'S3CRET', accessToken: 'S3CRET' } },
    ],
  ])('%s is named when it is wrong, and no secret is repeated', async (field, request) => {
    const error: unknown = await producer.connections
      .connect(request as never)
      .catch((e: unknown) => e)
    expect((error as InvalidRequestError).fields).toContain(field)
    expect((error as InvalidRequestError).message).not.toContain('S3CRET')
  })
})

describe('connections', () => {
  const mine = { userId: 'carol', connectionId: 'broker_1' }

  test('a connection is listed with its state and without its secrets', async () => {
    await producer.connections.connect({ ...connect, ...mine })
    const connections = createConnections(redis.connect())
    const seen = async () => (await producer.connections.list('carol'))[0]
    expect(await seen()).toMatchObject({
      connectionId: 'broker_1',
      env: 'sandbox',
      standing: 'unverified',
    })
    await createLinks(redis.connect()).verify((await connections.get(mine))!, 'acc-1')
    expect(await seen()).toMatchObject({ standing: 'verified', brokerAccountId: 'acc-1' })
    await producer.connections.connect({ ...connect, ...mine }) // rotated: unverified until a worker has logged in
    expect(await seen()).toMatchObject({ standing: 'unverified', brokerAccountId: 'acc-1' })
    expect(JSON.stringify(await seen())).not.toContain('sealed')
  })

  test('a failing connection shows its reason and its start', async () => {
    const at = { userId: 'dora', connectionId: 'broker_1' }
    await producer.connections.connect({ ...connect, ...at })
    const healthSeen = async () => (await producer.connections.list('dora'))[0]?.health
    expect(await healthSeen()).toEqual({
      state: 'unchecked',
      since: expect.stringMatching(/Z$/) as unknown,
    })
    const store = createStore(redis.connect())
    const note = async (found: Partial<Health>): Promise<void> => {
      const health = {
        schema: 2,
        state: 'up',
        cause: null,
        doubts: 0,
        doubtSince: null,
        reason: null,
        since: '',
      } as const
      const { version } = await store.loadHealth('dora', 'broker_1')
      const write = {
        kind: 'health',
        connectionId: 'broker_1',
        health: { ...health, ...found },
      } as const
      await store.commit('dora', {
        expectVersion: version,
        fence: { kind: 'version' },
        writes: [write],
        events: [],
      })
    }
    const since = '2024-03-15T14:00:00.000Z'
    const reason = 'The credentials lead to another account than this connection is for'
    await note({ state: 'down', cause: 'broken', reason, code: 'OTHER_ACCOUNT', since })
    expect(await healthSeen()).toEqual({ state: 'down', code: 'OTHER_ACCOUNT', reason, since })
    await note({ state: 'down', cause: 'failing', reason, since })
    expect(await healthSeen()).toEqual({ state: 'down', code: null, reason, since })
    await createLinks(redis.connect()).verify(
      (await createConnections(redis.connect()).get(at))!,
      'acc-dora',
    )
    await note({ since })
    expect(await healthSeen()).toEqual({ state: 'up', since })
    await note({})
    expect(await healthSeen()).toEqual({ state: 'up', since: null })
  })

  test('an id belongs to its environment', async () => {
    await producer.connections.connect({ ...connect, ...mine })
    await expect(
      producer.connections.connect({ ...connect, ...mine, env: 'paper' }),
    ).rejects.toThrow(ConnectionConflictError)
  })

  test('removing needs a choice, stops submissions at once, and queues a job for workers', async () => {
    await producer.connections.connect({ ...connect, ...mine })
    const error: unknown = await producer.connections
      .disconnect({ ...mine } as never)
      .catch((e: unknown) => e)
    expect((error as InvalidRequestError).fields).toEqual(['openOrders'])
    expect(await producer.connections.disconnect({ ...mine, openOrders: 'cancel' })).toEqual({
      isKnown: true,
    })
    expect((await producer.connections.list('carol'))[0]).toMatchObject({ standing: 'leaving' })
    await expect(producer.connections.connect({ ...connect, ...mine })).rejects.toThrow(
      'is being removed',
    )
    const { name, prefix } = queues.connections
    const [job] = await new Queue(name, { connection: redis.connect(), prefix }).getJobs([
      'waiting',
    ])
    expect(job).toMatchObject({ name: 'disconnect', data: { ...mine, openOrders: 'cancel' } })
    const unknown = { userId: 'carol', connectionId: 'nobody', openOrders: 'leave' } as const
    expect(await producer.connections.disconnect(unknown)).toEqual({ isKnown: false })
  })
})
