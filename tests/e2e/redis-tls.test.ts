import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { connectRedis, createLogger } from '#runtime'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { orderOf, System, told } from './stage.ts'

// Redis behind TLS: a server with a certificate of its own, beside a plain port on which the suite
// looks after it.

const trusted = getCACertificates('default')
let folder: string
let certificate: string
let redis: TestRedis
let port: number

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: free } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return free
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fillcast-tls-'))
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  })
  certificate = made.cert
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  writeFileSync(files.cert, certificate)
  writeFileSync(files.key, made.private)
  vi.stubEnv('NODE_EXTRA_CA_CERTS', files.cert) // for the workers, which are a process of their own
  port = await freePort()
  const tls = [
    '--tls-port',
    String(port),
    '--tls-cert-file',
    files.cert,
    '--tls-key-file',
    files.key,
  ]
  redis = await startRedis({ args: [...tls, '--tls-auth-clients', 'no'] })
})

afterAll(async () => {
  setDefaultCACertificates(trusted)
  vi.unstubAllEnvs()
  await redis.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Every connection to the port that speaks TLS, counted by the server. */
const overTls = async (): Promise<number> => {
  const clients = String(await redis.connect().call('CLIENT', 'LIST'))
  return clients.split('\n').filter((line) => line.includes(` laddr=127.0.0.1:${port} `)).length
}

test('a server with an untrusted certificate is refused, with the reason', async () => {
  const link = connectRedis(`rediss://localhost:${port}`, 'prompt', createLogger('test', 'silent'))
  const [error] = (await once(link, 'error')) as [Error]
  expect(error.message).toMatch(/self-signed certificate/)
  link.disconnect()
})

test('a server whose certificate has another name is refused', async () => {
  setDefaultCACertificates([...trusted, certificate])
  const link = connectRedis(`rediss://127.0.0.1:${port}`, 'prompt', createLogger('test', 'silent'))
  const [error] = (await once(link, 'error')) as [Error]
  expect(error.message).toMatch(/does not match certificate's altnames/)
  link.disconnect()
})

test('with a trusted authority an order is filled, and no connection is in the clear', async () => {
  setDefaultCACertificates([...trusted, certificate])
  const before = String(await redis.connect().call('CLIENT', 'LIST'))
    .trim()
    .split('\n').length
  const system = await System.openOn(redis, () => `rediss://localhost:${port}`, ['alice'])
  try {
    const client = await system.client('alice')
    await system.producer.submitOrder(orderOf())
    await expect
      .poll(() => told(client), { timeout: 12_000, interval: 50 })
      .toContain('trade.filled')
    expect(await overTls()).toBeGreaterThan(5)
    const all = String(await redis.connect().call('CLIENT', 'LIST'))
      .trim()
      .split('\n').length
    // The three that look on: before, for the count over TLS, and for this one.
    expect(all - (await overTls())).toBeLessThanOrEqual(before + 3)
  } finally {
    await system[Symbol.asyncDispose]()
  }
}, 40_000)
