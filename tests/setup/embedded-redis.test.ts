import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startEmbeddedRedis } from '../../src/setup/embedded-redis.mjs'
import { startRedis } from '../support/redis.ts'

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
const folders = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('fillcast-redis-'))
const folderOf = async (redis: Redis): Promise<string> =>
  ((await redis.config('GET', 'dir')) as string[])[1] ?? ''

test('two servers share no data', async () => {
  await using one = await startRedis()
  await using other = await startRedis()
  await one.connect().set('key', 'value')
  expect(await other.connect().get('key')).toBeNull()
  expect(one.port).not.toBe(other.port)
})

test('stop leaves neither process nor folder, and may be repeated', async () => {
  const server = await startRedis()
  const folder = await folderOf(server.connect())
  const { pid } = server
  expect([isAlive(pid), existsSync(folder)]).toEqual([true, true])
  await server.stop()
  await server.stop()
  expect([isAlive(pid), existsSync(folder)]).toEqual([false, false])
})

test('kill and restart - a persistent server keeps its data and its port', async () => {
  await using server = await startRedis({ persistent: true })
  const redis = server.connect()
  await redis.set('key', 'value')
  const { pid } = server
  await server.kill()
  expect(isAlive(pid)).toBe(false)
  await server.restart()
  expect(server.pid).not.toBe(pid)
  expect(await redis.get('key')).toBe('value')
})

test('kill and restart - one that is not persistent comes back empty', async () => {
  await using server = await startRedis()
  const redis = server.connect()
  await redis.set('key', 'value')
  await server.kill()
  await server.restart()
  expect(await redis.get('key')).toBeNull()
})

test('a port on which another program answers does not count as a server', async () => {
  await using other = await startRedis()
  await expect(startEmbeddedRedis({ port: other.port })).rejects.toThrow('ended before it answered')
  const stranger = createServer().listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  await expect(
    startEmbeddedRedis({ port: (stranger.address() as AddressInfo).port }),
  ).rejects.toThrow()
  stranger.close()
})

test('a path that is no server is named, and leaves no folder', async () => {
  const before = folders().length
  await expect(startEmbeddedRedis({ bin: '/nowhere/redis-server' })).rejects.toThrow(
    '/nowhere/redis-server',
  )
  expect(folders().length).toBeLessThanOrEqual(before)
})

test('killing the owner stops its server and removes its folder', async () => {
  const url = new URL('../../src/setup/embedded-redis.mjs', import.meta.url).href
  const script = `const { startEmbeddedRedis } = await import('${url}')
    const { pid, url } = await startEmbeddedRedis()
    console.log(JSON.stringify({ pid, url }))`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface({ input: owner.stdout }), 'line')) as [string]
  const { pid, url: redisUrl } = JSON.parse(line) as { pid: number; url: string }
  const redis = new Redis(redisUrl, { retryStrategy: () => null })
  const folder = await folderOf(redis)
  redis.disconnect()
  expect(folder).toContain(join(tmpdir(), 'fillcast-redis-'))
  owner.kill('SIGKILL')
  await expect
    .poll(() => [isAlive(pid), existsSync(folder)], { timeout: 10_000 })
    .toEqual([false, false])
})
