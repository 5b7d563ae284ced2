import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import { available } from '#producer'
import type { Clock, Randomness } from '#runtime'
import { operatorSessionsKey } from '#store'
import { type User, USER_NAME } from './users.ts'

/** How long a login lasts. */
export const SESSION_SECONDS = 12 * 60 * 60
/** Concurrent logins of one person. A further login replaces the one that would end first. */
export const SESSIONS_PER_USER_MAX = 20
const ID_BYTES = 32

/**
 * Logins of people. The cookie carries the name and a random id; Redis keeps a digest of that id
 * until the login ends. So every dashboard process accepts the cookie, and a logout ends the login
 * on all of them. The digest covers role and password hash: the login ends if the role or the hash
 * changes, or if the person is removed from the configured users. A reader of Redis learns no id.
 */
export class Sessions {
  readonly #redis: Redis
  readonly #users: ReadonlyMap<string, User>
  readonly #clock: Clock
  readonly #random: Randomness

  constructor(redis: Redis, users: ReadonlyMap<string, User>, clock: Clock, random: Randomness) {
    this.#redis = redis
    this.#users = users
    this.#clock = clock
    this.#random = random
  }

  /** Begins a login. @returns the text of its cookie @throws {UnavailableError} */
  async open(user: User): Promise<string> {
    const id = this.#random.id(ID_BYTES)
    const nowMs = this.#clock.now()
    const key = operatorSessionsKey(user.name)
    await available(
      this.#redis
        .multi()
        .zadd(key, nowMs + SESSION_SECONDS * 1_000, digestOf(id, user))
        .zremrangebyscore(key, '-inf', nowMs)
        .zremrangebyrank(key, 0, -SESSIONS_PER_USER_MAX - 1)
        .expire(key, SESSION_SECONDS)
        .exec(),
    )
    return `${user.name}.${id}`
  }

  /**
   * The user behind a cookie, or `null` when the cookie is missing, invented, expired or logged
   * out.
   * @throws {UnavailableError}
   */
  async userOf(cookie: string | undefined): Promise<User | null> {
    const login = this.#read(cookie)
    if (login === null) return null
    const endsMs = await available(
      this.#redis.zscore(operatorSessionsKey(login.user.name), login.digest),
    )
    return endsMs !== null && Number(endsMs) > this.#clock.now() ? login.user : null
  }

  /** Ends the login behind a cookie, on every dashboard. @throws {UnavailableError} */
  async close(cookie: string | undefined): Promise<void> {
    const login = this.#read(cookie)
    if (login !== null)
      await available(this.#redis.zrem(operatorSessionsKey(login.user.name), login.digest))
  }

  #read(cookie = ''): { user: User; digest: string } | null {
    const at = cookie.lastIndexOf('.')
    const name = cookie.slice(0, Math.max(0, at))
    const user = USER_NAME.test(name) ? this.#users.get(name) : undefined
    return user === undefined ? null : { user, digest: digestOf(cookie.slice(at + 1), user) }
  }
}

const digestOf = (id: string, { role, hash }: User): string =>
  createHash('sha256')
    .update(`${id} ${role} `)
    .update(hash.salt)
    .update(hash.hash)
    .digest('base64url')
