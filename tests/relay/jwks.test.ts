import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { createVerifier, type TokenError } from '#auth'

const START_MS = Date.UTC(2026, 0)
const MINUTE_MS = 60_000
const config = { jwtSecret: undefined, jwtIssuer: 'issuer', jwtAudience: undefined }

/** A key, and tokens signed with it. */
async function newKey(kid?: string) {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const named = kid === undefined ? {} : { kid }
  const jwk = { ...(await exportJWK(publicKey)), ...named, alg: 'ES256' }
  const sign = (iss = 'issuer', names: object = named): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', ...names })
      .setSubject('alice')
      .setIssuer(iss)
      .setExpirationTime(START_MS / 1_000 + 86_400)
      .sign(privateKey)
  return { jwk, sign }
}
type Key = Awaited<ReturnType<typeof newKey>>

/** A key server, a verifier that reads from it, and its time. */
async function open(...keys: Key[]) {
  const serving = { keys, status: 200, looks: 0 }
  const server = createServer((_request, response) => {
    serving.looks += 1
    response
      .writeHead(serving.status)
      .end(JSON.stringify({ keys: serving.keys.map(({ jwk }) => jwk) }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const time = { aheadMs: 0 }
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const verify = createVerifier({ ...config, jwksUrl }, () => START_MS + time.aheadMs)
  /** The code of the refusal, or who it is. */
  const verdict = async (token: Promise<string>): Promise<string> =>
    verify(await token).then(
      ({ sub }) => sub,
      (error: unknown) => (error as TokenError).code,
    )
  return {
    serving,
    time,
    verify,
    verdict,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  }
}

describe('keys from a key server', () => {
  test('verify only the tokens that they signed', async () => {
    const key = await newKey('k1')
    const stranger = await newKey('k2')
    await using it = await open(key)
    expect(await it.verdict(key.sign())).toBe('alice')
    it.time.aheadMs = 5_000
    expect(await it.verdict(stranger.sign())).toBe('AUTHENTICATION_FAILED')
    expect(await it.verdict(key.sign('somebody'))).toBe('AUTHENTICATION_FAILED')
    const shared = new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('alice')
      .setIssuer('issuer')
      .setExpirationTime('1h')
      .sign(new Uint8Array(32))
    expect(await it.verdict(shared)).toBe('AUTHENTICATION_FAILED')
  })

  test('a removed key is valid for ten minutes at most', async () => {
    const old = await newKey('k1')
    const fresh = await newKey('k2')
    await using it = await open(old)
    expect(await it.verdict(old.sign())).toBe('alice')
    it.serving.keys = [fresh]
    it.time.aheadMs = 4 * MINUTE_MS
    expect(await it.verdict(old.sign())).toBe('alice')
    it.time.aheadMs = 10 * MINUTE_MS
    expect(await it.verdict(old.sign())).toBe('AUTHENTICATION_FAILED')
    expect(await it.verdict(fresh.sign())).toBe('alice')
  })

  test('a key that replaced another under the same name is valid, and the old one is not', async () => {
    const old = await newKey('k1')
    const fresh = await newKey('k1')
    await using it = await open(old)
    expect(await it.verdict(old.sign())).toBe('alice')
    it.serving.keys = [fresh]
    it.time.aheadMs = 5_000
    expect(await it.verdict(fresh.sign())).toBe('alice')
    it.time.aheadMs = 10_000
    expect(await it.verdict(old.sign())).toBe('AUTHENTICATION_FAILED')
  })

  test.each([
    ['another name', 'k2'],
    ['the name of another', 'k1'],
  ])(
    'a key (%s) that may be newer than the last fetch is an internal error for 5 s',
    async (_how, kid) => {
      const old = await newKey('k1')
      const fresh = await newKey(kid)
      await using it = await open(old)
      expect(await it.verdict(old.sign())).toBe('alice')
      it.serving.keys = [fresh]
      it.time.aheadMs = 4_999
      const error: unknown = await it.verify(await fresh.sign()).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'INTERNAL_ERROR', forMs: 5_000 })
      it.time.aheadMs = 5_000
      expect(await it.verdict(fresh.sign())).toBe('alice')
    },
  )

  test('a token without a key id is tried with each key that fits', async () => {
    const keys = [await newKey('k1'), await newKey('k2'), await newKey()]
    const stranger = await newKey()
    await using it = await open(...keys)
    for (const key of keys) expect(await it.verdict(key.sign('issuer', {}))).toBe('alice')
    it.time.aheadMs = 5_000
    expect(await it.verdict(stranger.sign())).toBe('AUTHENTICATION_FAILED')
    expect(await it.verdict(keys[1]!.sign('somebody', {}))).toBe('AUTHENTICATION_FAILED')
  })

  test('tokens that fit no key do not cause repeated requests to the key server', async () => {
    const key = await newKey('k1')
    await using it = await open(key)
    await it.verdict(key.sign())
    const forged = await newKey('k1')
    for (let n = 0; n < 50; n += 1)
      await it.verdict((n % 2 ? forged : await newKey(`f${n}`)).sign())
    expect(it.serving.looks).toBe(1)
    it.time.aheadMs = 5_000
    await Promise.all(Array.from({ length: 50 }, () => it.verdict(forged.sign())))
    expect(it.serving.looks).toBe(2)
  })

  test('known keys serve through an outage of the key server for ten minutes', async () => {
    const key = await newKey('k1')
    const fresh = await newKey('k2')
    await using it = await open(key)
    await it.verdict(key.sign())
    it.serving.status = 503
    for (const aheadMs of [MINUTE_MS, 6 * MINUTE_MS, 10 * MINUTE_MS - 1]) {
      it.time.aheadMs = aheadMs
      expect(await it.verdict(key.sign())).toBe('alice')
    }
    expect(await it.verdict(fresh.sign())).toBe('INTERNAL_ERROR')
    it.time.aheadMs = 11 * MINUTE_MS
    expect(await it.verdict(key.sign())).toBe('INTERNAL_ERROR')
    it.serving.status = 200
    it.time.aheadMs += 5_000
    expect(await it.verdict(key.sign())).toBe('alice')
  })

  test('are fetched again before they expire, so an outage of five minutes has no effect', async () => {
    const key = await newKey('k1')
    await using it = await open(key)
    await it.verdict(key.sign())
    it.time.aheadMs = 5 * MINUTE_MS
    expect(await it.verdict(key.sign())).toBe('alice')
    await expect.poll(() => it.serving.looks).toBe(2)
    it.serving.status = 503
    it.time.aheadMs = 14 * MINUTE_MS
    await expect.poll(() => it.verdict(key.sign())).toBe('alice')
  })

  test('an outage of the key server is an internal error, not a wrong token', async () => {
    const key = await newKey('k1')
    await using it = await open(key)
    it.serving.status = 503
    expect(await it.verdict(key.sign())).toBe('INTERNAL_ERROR')
    expect(await it.verdict(key.sign())).toBe('INTERNAL_ERROR')
    expect(it.serving.looks).toBe(1)
    const away = createVerifier({ ...config, jwksUrl: 'http://127.0.0.1:9/jwks' }, () => START_MS)
    await expect(away(await key.sign())).rejects.toMatchObject({ code: 'INTERNAL_ERROR' })
  })
})
