import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { Clock } from '#runtime'
import type { RelayNode } from '#store'
import { sendTo } from './forward.ts'

/** Sessions that one message names; the length of the message follows from this number. */
const SESSIONS_PER_MESSAGE = 200
const MESSAGE_BYTES_MAX = 65_536
/** The pause between two messages, so that a full relay's clients do not all come back at once. */
const PAUSE_MS = 100
const SESSION_ID = /^[A-Za-z0-9_.-]{1,64}$/

type Tunnel = Readonly<{ socket: Duplex; owner: string; sessionId: string }>

/**
 * WebSockets that lead through this relay to the owners of their sessions. A tunnel carries bytes,
 * and this relay cannot insert a packet between them: so before a relay stops, it asks the owners
 * to close these sessions with a good-bye.
 */
export class Tunnels {
  readonly #open = new Set<Tunnel>()

  get size(): number {
    return this.#open.size
  }

  /** Counts a tunnel for as long as `isOpen` is pending. */
  hold<T>(tunnel: Tunnel, isOpen: Promise<T>): Promise<T> {
    this.#open.add(tunnel)
    return isOpen.finally(() => this.#open.delete(tunnel))
  }

  /**
   * Asks the owners to close the sessions of all tunnels with a good-bye. Resolves when the owners
   * were asked.
   */
  async sayGoodBye(
    clock: Clock,
    find: (owner: string) => Promise<RelayNode | null>,
    header: (node: RelayNode) => readonly [name: string, value: string],
    path: string,
  ): Promise<void> {
    for (const [owner, tunnels] of Map.groupBy(this.#open, (tunnel) => tunnel.owner)) {
      const node = await find(owner)
      for (let from = 0; node !== null && from < tunnels.length; from += SESSIONS_PER_MESSAGE) {
        const named = tunnels
          .slice(from, from + SESSIONS_PER_MESSAGE)
          .map(({ sessionId }) => sessionId)
        await sendTo({ ...node, header: header(node) }, path, named.join('\n'))
        await clock.sleep(PAUSE_MS)
      }
    }
  }

  cutAll(): void {
    for (const { socket } of this.#open) socket.destroy()
  }
}

/** Reads the session ids that another relay's message names, and answers the message. */
export async function readGoodBye(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<ReadonlySet<string>> {
  const isShort = Number(request.headers['content-length']) <= MESSAGE_BYTES_MAX
  const text = isShort ? (await buffer(request)).toString('latin1') : ''
  response.writeHead(isShort ? 204 : 413).end()
  return new Set(text.split('\n').filter((sessionId) => SESSION_ID.test(sessionId)))
}
