import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'

/** Whose messages are counted: a login session, and the user behind it. */
export type RateParty = Readonly<{ userId: string; session: string }>

/**
 * One message, counted: the count that is nearest to its limit. `isFallback`: Redis is away, this
 * relay counts alone.
 */
export type MessageCount = Readonly<{
  limit: number
  current: number
  resetInMs: number
  isOver: boolean
  isFallback: boolean
}>

/**
 * Messages a minute, counted in Redis, so that neither reconnecting nor another relay resets them
 * (D14). A minute starts with its first message. Whoever goes over is barred for a minute, and
 * further messages do not prolong that.
 */
export interface MessageRates {
  count(party: RateParty): Promise<MessageCount>
  /**
   * How long the party is barred still; 0: it is not. While Redis is away, only this relay's own
   * bars are known.
   */
  barredMs(party: RateParty): Promise<number>
}

const SESSION_MESSAGES_MAX = 10
const USER_MESSAGES_MAX = 60
const FALLBACK_MESSAGES_MAX = 5
const MINUTE = { duration: 60, blockDuration: 60 }
const MINUTE_MS = 60_000

type Limiter = RateLimiterRedis | RateLimiterMemory

/** @param redis a connection whose commands fail at once while Redis is away */
export function createMessageRates(redis: Redis): MessageRates {
  const shared = { ...MINUTE, storeClient: redis, rejectIfRedisNotReady: true }
  const ofSession = new RateLimiterRedis({
    ...shared,
    keyPrefix: 'messages',
    points: SESSION_MESSAGES_MAX,
  })
  const ofUser = new RateLimiterRedis({
    ...shared,
    keyPrefix: 'messages-of',
    points: USER_MESSAGES_MAX,
  })
  const fallback = new RateLimiterMemory({
    ...MINUTE,
    keyPrefix: 'messages',
    points: FALLBACK_MESSAGES_MAX,
  })
  /**
   * Keys expire by Redis time: where that stepped back, a minute would last as long as the step. It
   * ends a minute from now at the latest.
   */
  const ending = async (
    limiter: RateLimiterRedis,
    of: string,
    count: RateLimiterRes,
  ): Promise<RateLimiterRes> => {
    if (count.msBeforeNext <= MINUTE_MS) return count
    await redis.pexpire(limiter.getKey(of), MINUTE_MS)
    return new RateLimiterRes(
      count.remainingPoints,
      MINUTE_MS,
      count.consumedPoints,
      count.isFirstInDuration,
    )
  }
  return {
    async count({ userId, session }) {
      const key = `{${userId}}:${session}`
      try {
        const [one, all] = await Promise.all([
          consume(ofSession, key).then((count) => ending(ofSession, key, count)),
          consume(ofUser, `{${userId}}`).then((count) => ending(ofUser, `{${userId}}`, count)),
        ])
        const isUserNearer =
          all.consumedPoints / USER_MESSAGES_MAX > one.consumedPoints / SESSION_MESSAGES_MAX
        return isUserNearer
          ? told(all, USER_MESSAGES_MAX, false)
          : told(one, SESSION_MESSAGES_MAX, false)
      } catch {
        return told(await consume(fallback, key), FALLBACK_MESSAGES_MAX, true)
      }
    },
    async barredMs({ userId, session }) {
      const key = `{${userId}}:${session}`
      const left = async (limiter: Limiter, of: string): Promise<number> => {
        let known = await limiter.get(of).catch(() => null)
        if (known !== null && limiter instanceof RateLimiterRedis)
          known = await ending(limiter, of, known).catch(() => known)
        return known !== null && known.consumedPoints > limiter.points ? known.msBeforeNext : 0
      }
      // Each handshake asks, and hardly anybody is barred. The limiter looks in transactions, whose
      // remains outlive many handshakes: it is asked only about those whose counts, read in one
      // command, are over.
      const bySession = ofSession.getKey(key)
      const byUser = ofUser.getKey(`{${userId}}`)
      const [one, all] = await redis.mget(bySession, byUser).catch(() => [])
      return Math.max(
        await left(fallback, key),
        Number(one ?? 0) > SESSION_MESSAGES_MAX ? await left(ofSession, key) : 0,
        Number(all ?? 0) > USER_MESSAGES_MAX ? await left(ofUser, `{${userId}}`) : 0,
      )
    },
  }
}

/** Going over is an answer, not a failure. */
async function consume(limiter: Limiter, key: string): Promise<RateLimiterRes> {
  try {
    return await limiter.consume(key)
  } catch (over) {
    if (over instanceof RateLimiterRes) return over
    throw over
  }
}

const told = (
  { consumedPoints: current, msBeforeNext: resetInMs }: RateLimiterRes,
  limit: number,
  isFallback: boolean,
): MessageCount => ({ limit, current, resetInMs, isOver: current > limit, isFallback })
