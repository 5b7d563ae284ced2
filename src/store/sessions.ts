import type { Redis } from 'ioredis'
import type { TokenClaims } from '#contract'
import { controlField, controlIndexKey, controlKey, devicesKey } from './keys.ts'
import { encodeNotice } from './packet.ts'
import { withScripts } from './scripts.ts'

/**
 * Why a connection must end: its token is barred, or a newer connection of the same device exists.
 */
export type SessionValidity = Readonly<{ isBarred: boolean; newestGeneration: string | null }>

/**
 * Logouts and devices of a user, shared by all relays. Each change publishes a notice to the
 * relays, which also check by themselves from time to time.
 */
export interface Sessions {
  /**
   * Bars the tokens of one session (claim `sid` or `jti`), or all tokens that were issued to the
   * user up to this second. For good.
   */
  logout(userId: string, sessionId?: string): Promise<void>
  /** @returns the generation of the connection, which is now the newest of this device */
  enter(userId: string, deviceId: string): Promise<string>
  validity(
    claims: Pick<TokenClaims, 'sub' | 'sid' | 'jti' | 'iat'>,
    deviceId?: string,
  ): Promise<SessionValidity>
}

/**
 * Logged-out sessions that are kept one by one; the script describes the handling of further ones.
 */
const SESSION_BARS_MAX = 500
/**
 * Devices of a user whose generation is kept; a new device evicts the one with the oldest
 * connection.
 */
const DEVICES_MAX = 100
const DEVICES_TTL_MS = 30 * 86_400_000

export function createSessions(connection: Redis): Sessions {
  const redis = withScripts(connection)
  return {
    async logout(userId, sessionId = '') {
      const { channel, packet } = encodeNotice(userId)
      const revision = await redis.sessionBar(
        controlKey(userId),
        sessionId,
        SESSION_BARS_MAX,
        channel,
        packet,
      )
      await redis.zadd(controlIndexKey, 'GT', revision, userId) // workers keep bars in memory too
    },
    async enter(userId, deviceId) {
      const { channel, packet } = encodeNotice(userId)
      return redis.deviceEnter(
        devicesKey(userId),
        deviceId,
        DEVICES_MAX,
        DEVICES_TTL_MS,
        channel,
        packet,
      )
    },
    async validity({ sub, iat, sid, jti }, deviceId) {
      const sessions = [sid, jti].flatMap((id) =>
        id === undefined ? [] : [controlField.sessionBar(id)],
      )
      const [[userBar = null, ...sessionBars], newestGeneration] = await Promise.all([
        redis.hmget(controlKey(sub), controlField.userBar, ...sessions),
        deviceId === undefined ? null : redis.hget(devicesKey(sub), deviceId),
      ])
      const isUsers = userBar !== null && (iat === undefined || iat <= Number(userBar))
      return { isBarred: isUsers || sessionBars.some((bar) => bar !== null), newestGeneration }
    },
  }
}
