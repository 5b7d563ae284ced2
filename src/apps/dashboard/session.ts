import { createHash, hkdfSync } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import type { Clock } from '#runtime'
import type { User } from './users.ts'

/** How long a login lasts. */
export const SESSION_SECONDS = 12 * 60 * 60
const AUDIENCE = 'fillcast-dashboard'

const fingerprint = ({ role, hash }: User): string =>
  createHash('sha256').update(role).update(hash.salt).update(hash.hash).digest('base64url').slice(0, 22)

/**
 * Logins as signed cookies: nothing is stored, so any number of dashboards accept each other's. The key is made from the configured
 * users, and a session names its user's password: changing that, or the role, or removing the user ends it.
 */
export class Sessions {
  readonly #users: ReadonlyMap<string, User>
  readonly #clock: Clock
  readonly #key: Uint8Array

  constructor(users: ReadonlyMap<string, User>, clock: Clock) {
    this.#users = users
    this.#clock = clock
    const secrets = [...users.values()].map(({ name, hash }) => `${name}:${hash.hash.toString('base64')}`).sort()
    this.#key = new Uint8Array(hkdfSync('sha256', secrets.join('\n'), '', AUDIENCE, 32))
  }

  async open(user: User): Promise<string> {
    const nowSeconds = Math.floor(this.#clock.now() / 1000)
    return new SignJWT({ fp: fingerprint(user) })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user.name)
      .setAudience(AUDIENCE)
      .setExpirationTime(nowSeconds + SESSION_SECONDS)
      .sign(this.#key)
  }

  /** The user behind a cookie, or `null` when it is missing, forged, expired or outdated. */
  async userOf(cookie: string | undefined): Promise<User | null> {
    if (cookie === undefined) return null
    try {
      const { payload } = await jwtVerify(cookie, this.#key, {
        algorithms: ['HS256'],
        audience: AUDIENCE,
        requiredClaims: ['exp', 'sub'],
        currentDate: new Date(this.#clock.now()),
      })
      const user = this.#users.get(payload.sub ?? '')
      return user !== undefined && payload['fp'] === fingerprint(user) ? user : null
    } catch {
      return null
    }
  }
}
