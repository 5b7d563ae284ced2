import { CompactEncrypt, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Arena, ISSUER } from './arena.ts'
import { SECRET, signed } from './harness.ts'

let arena: Arena
beforeAll(async () => {
  arena = await Arena.open({ JWT_ISSUER: ISSUER, RELAY_TRUSTED_PROXIES: '1' })
})
afterAll(() => arena[Symbol.asyncDispose]())

const key = new TextEncoder().encode(SECRET)
const nowS = Math.floor(Date.now() / 1_000)
const encoded = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url')
/** A valid token, with the given changes. */
const token = (
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> =>
  new SignJWT({ sub: 'victim-1', aud: 'fillcast', iss: ISSUER, exp: nowS + 3_600, ...claims })
    .setProtectedHeader({ alg: 'HS256', ...header })
    .sign(key)
const unsigned = (header: unknown): string =>
  `${encoded(header)}.${encoded({ sub: 'victim-1', exp: nowS + 60 })}.`

const ways: Record<string, () => Promise<unknown>> = {
  'alg none': async () => unsigned({ alg: 'none' }),
  'alg None, in another case': async () => unsigned({ alg: 'nOnE' }),
  'no alg': async () => unsigned({ typ: 'JWT' }),
  'a signature that was cut off': async () => (await token({})).replace(/\.[^.]*$/, '.'),
  'claims changed after signing': async () => {
    const [header, , signature] = (await token({ sub: 'mallory' })).split('.')
    return [header, encoded({ sub: 'victim-1', exp: nowS + 60 }), signature].join('.')
  },
  'the secret of somebody else': () => signed({ iss: ISSUER }, 'x'.repeat(40)),
  'a key that it brings along': async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const jwt = new SignJWT({ sub: 'victim-1', exp: nowS + 60 })
    return jwt
      .setProtectedHeader({ alg: 'ES256', jwk: await exportJWK(publicKey) })
      .sign(privateKey)
  },
  'a place where its key would be': () =>
    token({}, { alg: 'HS256', jku: 'http://127.0.0.1:1/', kid: '../../dev/null' }).then((good) =>
      good.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
    ),
  'an extension that must be understood': async () =>
    `${encoded({ alg: 'HS256', crit: ['exp'], exp: 1 })}.${(await token({})).split('.').slice(1).join('.')}`,
  'encryption in place of a signature': () =>
    new CompactEncrypt(Buffer.from(encoded({ sub: 'victim-1' })))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .encrypt(key.subarray(0, 32)),
  'another issuer': () => token({ iss: `${ISSUER}.evil` }),
  'no issuer': () => token({ iss: undefined }),
  'another audience': () => token({ aud: ['a', 'b'] }),
  'an end in the past': () => token({ exp: nowS - 10 }),
  'an end that is words': () => token({ exp: 'never' }),
  'an end that is no number': () => token({ exp: null }),
  'a beginning in the future': () => token({ nbf: nowS + 600 }),
  'a subject that is a list': () => token({ sub: ['victim-1'] }),
  'a subject that is an object': () => token({ sub: { toString: 'victim-1' } }),
  'no subject': () => token({ sub: undefined }),
  'a subject of everybody': () => token({ sub: '*' }),
  'a subject that ends its hash tag': () => token({ sub: 'a}{victim-1' }),
  'a subject that ends its channel': () => token({ sub: 'a#' }),
  'a subject with a line break': () => token({ sub: 'victim-1\r\nPUBLISH' }),
  'a subject of 10 kB': () => token({ sub: 'a'.repeat(7_000) }),
  'a session id that ends its hash tag': () => token({ sid: 'x}'.repeat(200) }),
  'a list of tokens': async () => [await token({})],
  'an object that says it is one': async () => ({ toString: 'x', valueOf: await token({}) }),
  'a prototype': async () => JSON.parse('{"__proto__":{"token":"x"}}') as unknown,
  'a number': async () => 1e308,
  'words of 10 kB': async () => 'e'.repeat(10_000),
}

describe('a handshake with', () => {
  test.each(Object.entries(ways))('%s opens nothing', async (_name, make) => {
    const given = await make()
    await arena.attack(async (victim) => {
      const byAuth = arena.ws()
      byAuth.send(`40${JSON.stringify({ token: given, lastEventId: '', symbols: ['AAPL'] })}`)
      byAuth.send(`42["state.requestSync",{"room":"user:${victim}"}]`)
      const byQuery = arena.ws(
        `&token=${encodeURIComponent(typeof given === 'string' ? given : JSON.stringify(given))}`,
      )
      byQuery.send('40')
      byQuery.send('421["state.requestSync",{}]')
      await expect
        .poll(() => [byAuth, byQuery].map(({ isClosed }) => isClosed()))
        .toEqual([true, true])
      const said = [...byAuth.texts, ...byQuery.texts].join('\n')
      expect(said).not.toMatch(/connection\.authorized|state\.sync|^43/m)
    })
  })

  test('of two tokens under one name the last one counts, in every place', async () => {
    const good = await token({ sub: 'mallory' })
    await arena.attack(async () => {
      const socket = arena.ws(`&token=${good}&token=bad`)
      socket.send('40')
      await expect.poll(() => socket.isClosed()).toBe(true)
      expect(socket.texts.join()).toContain('AUTHENTICATION_FAILED')
    })
  })

  test.each([
    ['authorization', 'Bearer '],
    ['cookie', 'token='],
  ])('a token in the header %s only does not count as a token', async (name, prefix) => {
    const good = await token({ sub: 'mallory' })
    await arena.attack(async () => {
      const socket = arena.ws('', {
        [name]: prefix + good,
        'x-forwarded-for': `10.0.0.${prefix.length}`,
      })
      socket.send('40')
      await expect.poll(() => socket.texts.join()).toContain('AUTHENTICATION_FAILED')
    })
  })
})
