import { expect, test } from 'vitest'
import { connectRedis, createLogger, redisUrlSetting } from '#runtime'
import { readRedisAddress } from '../../src/runtime/redis-address.ts'

const nobody = { username: '', password: '', isTls: false, name: '', db: 0 }

test.each([
  ['redis://127.0.0.1', { ...nobody, kind: 'single', nodes: [{ host: '127.0.0.1', port: 6379 }] }],
  [
    'redis://:pa%40ss@db:6380/3',
    { ...nobody, kind: 'single', password: 'pa@ss', db: 3, nodes: [{ host: 'db', port: 6380 }] },
  ],
  [
    'rediss://relay:p@[::1]:1/',
    {
      ...nobody,
      kind: 'single',
      isTls: true,
      username: 'relay',
      password: 'p',
      nodes: [{ host: '::1', port: 1 }],
    },
  ],
  [
    'redis+sentinel://u:p@a,b:5000/main/2',
    {
      ...nobody,
      kind: 'sentinel',
      username: 'u',
      password: 'p',
      name: 'main',
      db: 2,
      nodes: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 5_000 },
      ],
    },
  ],
  [
    'rediss+cluster://a:1,b',
    {
      ...nobody,
      kind: 'cluster',
      isTls: true,
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6_379 },
      ],
    },
  ],
])('%s is parsed', (url, address) => expect(readRedisAddress(url)).toEqual(address))

test.each([
  ['another protocol', 'http://127.0.0.1'],
  ['no host', 'redis://'],
  ['a port that is none', 'redis://a:70000'],
  ['two servers that are no Cluster', 'redis://a,b'],
  ['a Cluster with a database', 'redis+cluster://a/1'],
  ['Sentinels without a name', 'redis+sentinel://a,b'],
  ['half a percent sign', 'redis://:%zz@a'],
  ['a path', 'redis://a/../etc'],
  ['an empty node', 'redis+cluster://a,,b'],
])('%s is refused, and not repeated in the error', (_name, url) => {
  expect(redisUrlSetting.schema.safeParse(url).success).toBe(false)
  expect(() => connectRedis(url, 'prompt', createLogger('test', 'silent'))).toThrow(
    /^The URL of Redis is not valid$/,
  )
})
