import type { IncomingMessage } from 'node:http'
import type { Logger } from '#runtime'

/** Refused origins that are logged, each once; a client may invent origins. */
const LOGGED_MAX = 100
const LOGGED_LENGTH_MAX = 256

/**
 * Decides which pages may connect.
 * - A page of this very host may connect, as a browser allows.
 * - Clients outside of browsers may connect; some of them send the server's own address as their
 *   origin.
 *
 * An origin is trustworthy only if a browser sends it: the identity of a user comes from the token
 * alone.
 */
export class Origins {
  readonly #allowed: ReadonlySet<string>
  readonly #setting: string
  readonly #log: Logger
  readonly #logged = new Set<string>()

  /** @param setting the name under which an operator adds an origin */
  constructor(allowed: readonly string[], setting: string, log: Logger) {
    this.#allowed = new Set(allowed)
    this.#setting = setting
    this.#log = log
  }

  accepts({ headers: { origin, host } }: IncomingMessage): boolean {
    if (origin === undefined || this.#allowed.has(origin) || isSameHost(origin, host)) return true
    if (this.#logged.size < LOGGED_MAX && !this.#logged.has(origin)) {
      this.#logged.add(origin)
      const shown = {
        origin: origin.slice(0, LOGGED_LENGTH_MAX),
        host: host?.slice(0, LOGGED_LENGTH_MAX),
      }
      this.#log.warn({ ...shown, setting: this.#setting }, 'origin.refused')
    }
    return false
  }
}

/** The port may be left out on either side if it is the default port of the scheme. */
function isSameHost(origin: string, host: string | undefined): boolean {
  const page = URL.parse(origin)
  if (host === undefined || (page?.protocol !== 'http:' && page?.protocol !== 'https:'))
    return false
  return URL.parse(`${page.protocol}//${host}`)?.host === page.host
}
