import type { IncomingMessage } from 'node:http'
import { createVerifier, RefusedTokens, TokenError, tokenNames, type Verify } from '#auth'
import type { TokenClaims } from '#contract'
import { type Addresses, Origins } from '#transport'
import type { RelayConfig } from './config.ts'
import type { ConnectionData, RelaySocket } from './connection.ts'
import type { RelayContext, TurnedAway } from './context.ts'
import { readGreeting } from './greeting.ts'

/** How long a refused token is refused again without being verified (D13). */
export const REFUSED_TOKEN_MS = 60_000
export const REFUSED_TROUBLE_MS = 10_000

export const sessionOf = ({ sub, sid, jti }: TokenClaims) => ({
  userId: sub,
  session: sid !== undefined ? `sid:${sid}` : jti !== undefined ? `jti:${jti}` : 'user',
})

/** Decides which clients may connect. */
export class Handshake {
  readonly #origins: Origins
  readonly #context: RelayContext
  readonly #addresses: Addresses
  readonly #verify: Verify
  readonly refused: RefusedTokens
  /** Addresses that were sent the error that a token is missing. */
  readonly #tokenless: RefusedTokens

  constructor(config: RelayConfig, context: RelayContext, addresses: Addresses) {
    this.#origins = new Origins(config.corsOrigins, 'RELAY_CORS_ORIGINS', context.log)
    this.#context = context
    this.#addresses = addresses
    this.#verify = createVerifier(config, () => context.clock.now())
    this.refused = new RefusedTokens(() => context.clock.now())
    this.#tokenless = new RefusedTokens(() => context.clock.now())
  }

  /** Cheap checks before anything is kept. @returns the reason of a refusal, or `null` */
  objection(request: IncomingMessage, isDraining: boolean): string | null {
    const token = new URL(request.url ?? '/', 'http://relay').searchParams.get('token')
    const because = (reason: TurnedAway, message: string): string => {
      this.#context.metrics.rejected.inc({ reason })
      return message
    }
    if (isDraining) return because('draining', 'The server is restarting; try again')
    if (!this.#origins.accepts(request))
      return because('origin', 'Pages of this origin may not connect')
    if (token !== null && this.refused.hasToken(tokenNames(token)))
      return because(
        'repeat',
        'This token was refused a moment ago; get a new one, or wait a minute',
      )
    const full = this.#addresses.objection(request)
    return full === null ? null : because(...full)
  }

  /**
   * Lets every socket pass, so that a refused client can be sent the reason; only a socket whose
   * token was verified joins a room.
   */
  async authenticate(socket: RelaySocket, next: (error?: Error) => void): Promise<void> {
    const { auth, query } = socket.handshake
    const isToken = (given: unknown): given is string => typeof given === 'string' && given !== ''
    const token = [auth['token'] as unknown, query['token']].find(isToken)
    if (token === undefined ? this.#wasTold(socket) : this.refused.hasToken(tokenNames(token))) {
      this.#context.metrics.rejected.inc({ reason: 'repeat' })
      socket.conn.once('close', () => next(new Error('refused'))) // unanswered until the connect timeout (D13)
      return
    }
    socket.data.greeting = readGreeting(auth)
    const refused = await this.#read(socket.data, token)
    if (refused !== null) socket.data.refused = refused
    forgetRequest(socket)
    next()
  }

  /**
   * Returns whether the socket's address was already sent the error within the last minute that a
   * token is missing; from now on the address counts as such. The check comes here and not in
   * `objection`: there, a client that sends its token in `auth` looks the same.
   */
  #wasTold({ request }: RelaySocket): boolean {
    const address = this.#addresses.of(request)
    if (this.#tokenless.has(address)) return true
    this.#tokenless.add(address, REFUSED_TOKEN_MS)
    return false
  }

  /**
   * Fills in the claims of the token. @returns the reason why the client may not connect, or `null`
   */
  async #read(
    data: ConnectionData,
    token: string | undefined,
  ): Promise<NonNullable<ConnectionData['refused']> | null> {
    const names = token === undefined ? undefined : tokenNames(token)
    try {
      const claims = await this.#verify(token)
      if (names !== undefined) data.tokenName = names.signed
      const forMs = await this.#context.rates.barredMs(sessionOf(claims))
      if (forMs > 0)
        return {
          code: 'RATE_LIMIT_EXCEEDED',
          message: `Wait ${Math.ceil(forMs / 1_000)} seconds`,
          forMs,
        }
      data.claims = claims
      return null
    } catch (error) {
      const { code, message, isSigned, forMs } =
        error instanceof TokenError
          ? error
          : new TokenError('INTERNAL_ERROR', 'The connection failed; try again later')
      if (names !== undefined) data.tokenName ??= isSigned ? names.signed : names.whole
      if (code === 'INTERNAL_ERROR') this.#context.outage.failed('connection.not_verified', error)
      else this.#context.log.info({ code, reason: message }, 'connection.refused')
      return {
        code,
        message,
        forMs: forMs ?? (code === 'AUTHENTICATION_FAILED' ? REFUSED_TOKEN_MS : REFUSED_TROUBLE_MS),
      }
    }
  }
}

/**
 * Removes the token everywhere once it has served: from the handshake, its URL and its headers. The
 * rest of the request is not needed again either. It would make up a quarter of the memory of a
 * connection for as long as the connection lasts.
 */
function forgetRequest(socket: RelaySocket): void {
  Object.assign(socket.request, { url: '', headers: {}, rawHeaders: [], _query: {} })
  Object.assign(socket, { handshake: FORGOTTEN })
}

const FORGOTTEN: Readonly<Partial<RelaySocket['handshake']>> = Object.freeze({
  headers: {},
  query: {},
  auth: {},
  url: '',
})
