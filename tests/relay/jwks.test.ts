import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { createVerifier, type TokenError } from '#auth'

const now = (): number => Date.UTC(2026, 0)
const config = { jwtSecret: undefined, jwtIssuer: 'issuer', jwtAudience: undefined }

/** A key server with one key, which a test may rename, and tokens signed with it. */
async function keyServer(status = 200) {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }
  const serving = { kid: 'k1', status, looks: 0 }
  const server = createServer((_request, response) => {
    serving.looks += 1
    response.writeHead(serving.status).end(JSON.stringify({ keys: [{ ...jwk, kid: serving.kid }] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const sign = (kid: string, iss = 'issuer'): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid })
      .setSubject('alice')
      .setIssuer(iss)
      .setExpirationTime(now() / 1_000 + 60)
      .sign(privateKey)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`,
    sign,
    serving,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  }
}

const codeOf = (verifying: Promise<unknown>): Promise<unknown> =>
  verifying.catch((error: unknown) => (error as TokenError).code)

describe('keys from a key server', () => {
  test('verify what they signed, and nothing else', async () => {
    await using keys = await keyServer()
    const verify = createVerifier({ ...config, jwksUrl: keys.url }, now)
    expect(await verify(await keys.sign('k1'))).toMatchObject({ sub: 'alice' })
    expect(await codeOf(verify(await keys.sign('k2')))).toBe('AUTHENTICATION_FAILED')
    expect(await codeOf(verify(await keys.sign('k1', 'somebody')))).toBe('AUTHENTICATION_FAILED')
    const shared = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('alice')
      .setIssuer('issuer')
      .setExpirationTime('1h')
      .sign(new Uint8Array(32))
    expect(await codeOf(verify(shared))).toBe('AUTHENTICATION_FAILED')
  })

  test('a new key serves without a restart, and an old one no longer', async () => {
    await using keys = await keyServer()
    const verify = createVerifier({ ...config, jwksUrl: keys.url }, now, 0)
    expect(await verify(await keys.sign('k1'))).toMatchObject({ sub: 'alice' })
    keys.serving.kid = 'k2'
    expect(await verify(await keys.sign('k2'))).toMatchObject({ sub: 'alice' })
    expect(await codeOf(verify(await keys.sign('k1')))).toBe('AUTHENTICATION_FAILED')
  })

  test('unknown keys do not make us ask the key server again and again', async () => {
    await using keys = await keyServer()
    const verify = createVerifier({ ...config, jwksUrl: keys.url }, now)
    await verify(await keys.sign('k1'))
    for (let n = 0; n < 50; n += 1) await codeOf(verify(await keys.sign(`forged-${n}`)))
    expect(keys.serving.looks).toBe(1)
  })

  test('known keys serve while the key server is away; a token of an unknown one is our trouble', async () => {
    await using keys = await keyServer()
    const verify = createVerifier({ ...config, jwksUrl: keys.url }, now, 0)
    await verify(await keys.sign('k1'))
    keys.serving.status = 503
    expect(await verify(await keys.sign('k1'))).toMatchObject({ sub: 'alice' })
    expect(await codeOf(verify(await keys.sign('k2')))).toBe('INTERNAL_ERROR')
  })

  test('an outage of the key server is our trouble, not a wrong token', async () => {
    await using keys = await keyServer(503)
    const token = await keys.sign('k1')
    expect(await codeOf(createVerifier({ ...config, jwksUrl: keys.url }, now)(token))).toBe('INTERNAL_ERROR')
    expect(await codeOf(createVerifier({ ...config, jwksUrl: 'http://127.0.0.1:9/jwks' }, now)(token))).toBe(
      'INTERNAL_ERROR',
    )
  })
})
