import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'

/** The party whose messages are counted: a login session, and the user behind it. */
export type RateParty = Readonly<{ userId: string; session: string }>

/**
 * The result of counting one message: the count that is nearest to its limit. `isFallback`: Redis
 * is away, and this relay counts alone.
 */
export type MessageCount = Readonly<{
  limit: number
  current: number
  resetInMs: number
  isOver: boolean
  isFallback: boolean
}>

/**
 * Messages a minute, counted in Redis, so that neither reconnecting nor another relay resets the
 * counts (D14). A minute starts with its first message. A party that exceeds its limit is barred
 * for a minute, and further messages do not prolong the bar.
 */
export interface MessageRates {
  count(party: RateParty): Promise<MessageCount>
  /**
   * For how many ms more the party is barred; 0: it is not barred. While Redis is away, only this
   * relay's own bars are known.
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
   * Keys expire by Redis time: if that time stepped back, a minute would last as long as the step.
   * So a minute ends a minute from now at the latest.
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
      // Each handshake asks, and hardly any party is barred. The limiter reads in transactions, and
      // their leftovers outlive many handshakes. So the limiter is asked only about the counts that
      // are over their limit, after one command has read all counts.
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

/** Exceeding the limit is a result, not a failure. */
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
