import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'

/** How one client comes in. */
export type Visitor = Readonly<{
  url: string
  /**
   * Its Socket.IO CONNECT packet, sent once the server has opened the session; undefined: the
   * server speaks no Socket.IO.
   */
  greeting: string | undefined
  /** The beginning of the message by which the server says that the client is in. */
  welcome: string
}>

/**
 * Clients that come in together, and the time that this takes at least: fewer a second than the
 * 1,000 that a relay takes in.
 */
const OPENING_MAX = 40
const OPENING_MS_MIN = 50
const OPENING_MS_MAX = 20_000
const HEARING_MS_MAX = 60_000
/** A repeated event, or an event of another user, arrives soon after the expected one. */
const AFTERWARDS_MS = 100
const [OPEN, PING, MESSAGE, EVENT] = ['0', '2', '4', '2'].map((digit) => digit.charCodeAt(0))

/**
 * Thousands of clients in one process, who count events without reading them: bare WebSockets that
 * speak the few words of Engine.IO and Socket.IO which keep a connection. Each is outside -> in ->
 * closed; `#heard` counts the events since the last `hear`.
 */
export class Crowd implements Disposable {
  readonly #sockets: WebSocket[] = []
  #heard = 0
  #expected = 0
  #onAll: (() => void) | undefined

  /** @throws {Error} a client was not accepted in time */
  async enter(visitors: readonly Visitor[]): Promise<void> {
    for (let n = 0; n < visitors.length; n += OPENING_MAX) {
      const batch = visitors.slice(n, n + OPENING_MAX).map((visitor) => this.#enter(visitor))
      await Promise.all([...batch, pause(OPENING_MS_MIN)])
    }
  }

  #enter({ url, greeting, welcome }: Visitor): Promise<void> {
    const socket = new WebSocket(url, { perMessageDeflate: false, skipUTF8Validation: true })
    this.#sockets.push(socket)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const tooLate = setTimeout(
      () => reject(new Error(`a client was not let in within ${OPENING_MS_MAX} ms`)),
      OPENING_MS_MAX,
    )
    let isIn = false
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('a client was turned away')))
    socket.on('message', (data: Buffer) => {
      if (data[0] === PING) socket.send('3')
      else if (data[0] === OPEN && greeting !== undefined) socket.send(greeting)
      else if (isIn && data[0] === MESSAGE && data[1] === EVENT) this.#hearOne()
      else if (!isIn && data.toString('latin1', 0, welcome.length) === welcome) {
        isIn = true
        clearTimeout(tooLate)
        resolve()
      }
    })
    return promise
  }

  #hearOne(): void {
    this.#heard += 1
    if (this.#heard === this.#expected) this.#onAll?.()
  }

  /**
   * Resolves when all clients together have received `count` events that `send` sends.
   * @throws {Error} some are missing
   */
  async hear(count: number, send: () => Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#heard = 0
    this.#expected = count
    this.#onAll = resolve
    const complain = (): void =>
      reject(new Error(`${this.#heard} of ${count} events came within ${HEARING_MS_MAX} ms`))
    const tooLate = setTimeout(complain, HEARING_MS_MAX)
    try {
      await Promise.all([promise, send()])
    } finally {
      clearTimeout(tooLate)
    }
  }

  /** @throws {Error} more was heard than was expected last */
  async calm(): Promise<void> {
    await pause(AFTERWARDS_MS)
    if (this.#heard > this.#expected)
      throw new Error(`${this.#heard - this.#expected} events too many were heard`)
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.removeAllListeners('close').terminate()
  }
}
