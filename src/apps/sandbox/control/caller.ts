import type { IncomingMessage } from 'node:http'
import { notFound, Refusal } from '../broker/refusal.ts'

// Control calls are for programs on the same machine. A web page that a developer has open can
// reach this machine too: by a form or a `fetch` (both send an `Origin`, and neither can send JSON
// without a preflight), or by a host name that resolves to this machine (its name is in `Host`).

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i

/** True for a peer address of this machine. */
const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && /^(::ffff:)?127\.|^::1$/.test(address)

/**
 * Refuses a control call unless a program on this machine made it.
 * @throws {Refusal} 404 from another machine, 403 from a web page, 415 for a body that is not
 *   declared as JSON
 */
export function assertControlCaller({ socket, headers }: IncomingMessage): void {
  if (!isLoopback(socket.remoteAddress)) throw notFound('endpoint not found.')
  if (!LOOPBACK_HOST.test(headers.host ?? ''))
    throw new Refusal(
      403,
      undefined,
      'control calls name this machine: use http://127.0.0.1 or http://localhost',
    )
  if (headers.origin !== undefined)
    throw new Refusal(403, undefined, 'control calls are not for web pages: send no Origin header')
  const hasBody =
    headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  if (hasBody && !/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? ''))
    throw new Refusal(
      415,
      undefined,
      'the body of a control call is JSON: send content-type: application/json',
    )
}
