import { connect } from 'node:net'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import { type Client, notice, numbers, signed, Stage } from './harness.ts'

export const ISSUER = 'https://auth.example'
/** The device on which every victim is from the beginning. */
export const DEVICE = 'phone'

/** The bytes that an attacker sends and receives, without a client library between. */
export type RawSocket = Readonly<{
  texts: string[]
  send(packet: string | Buffer): void
  control(frame: 'ping' | 'pong'): void
  isClosed(): boolean
}>

/**
 * A relay with a victim and an attacker. After every attack the victim has received its own events
 * and no others, a new client is served, and no data of the victim has reached the attacker.
 */
export class Arena implements AsyncDisposable {
  readonly stage: Stage
  /** Everything that attackers have been sent. */
  readonly #heard: (string[] | string)[] = []
  readonly #sockets: WebSocket[] = []
  #victims = 0

  private constructor(stage: Stage) {
    this.stage = stage
  }

  static async open(env: Record<string, string> = {}): Promise<Arena> {
    return new Arena(await Stage.open({ RELAY_CONNECTIONS_PER_ADDRESS: '100000', ...env }))
  }

  /** A WebSocket that speaks Engine.IO by hand. */
  ws(query = '', headers: Record<string, string> = {}): RawSocket {
    const url = `${this.stage.relay.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket${query}`
    const socket = new WebSocket(url, { headers })
    const texts: string[] = []
    const waiting: (() => void)[] = []
    const now = (act: () => void): void =>
      void (socket.readyState === WebSocket.OPEN ? act() : waiting.push(act))
    let isClosed = false
    this.#heard.push(texts)
    this.#sockets.push(socket)
    socket.on('message', (data: Buffer) => texts.push(data.toString()))
    socket.on('open', () => waiting.splice(0).forEach((act) => act()))
    socket.on('error', () => {})
    socket.on('close', () => (isClosed = true))
    return {
      texts,
      send: (packet) => now(() => socket.send(packet)),
      control: (frame) => now(() => socket[frame]()),
      isClosed: () => isClosed,
    }
  }

  /** One that is let in, as a user who may be here. */
  async insider(sub = 'mallory', auth: Record<string, unknown> = {}): Promise<RawSocket> {
    const socket = this.ws()
    socket.send(`40${JSON.stringify({ token: await signed({ sub, iss: ISSUER }), ...auth })}`)
    await expect.poll(() => socket.texts.join()).toContain('connection.authorized')
    return socket
  }

  async http(
    path: string,
    init: RequestInit = {},
  ): Promise<Readonly<{ status: number; text: string }>> {
    const answer = await fetch(`${this.stage.relay.url}${path}`, init)
    const text = await answer.text()
    this.#heard.push(text)
    return { status: answer.status, text }
  }

  /** Bytes as they are, and all that comes back until the relay closes. */
  bytes(request: string): Promise<string> {
    return new Promise((resolve) => {
      let text = ''
      const socket = connect(this.stage.relay.port, '127.0.0.1', () => socket.write(request))
      socket.setTimeout(3_000, () => socket.destroy())
      socket.on('data', (data) => (text += data.toString('latin1'))).on('error', () => {})
      socket.on('close', () => {
        this.#heard.push(text)
        resolve(text)
      })
    })
  }

  publish(channel: string, message: Buffer | string): Promise<number> {
    return this.stage.redis.connect().publish(channel, message)
  }

  /** Runs an attack with a victim of its own on the relay. */
  async attack(act: (victim: string) => Promise<void>): Promise<void> {
    const victim = `victim-${(this.#victims += 1)}`
    const connected = await this.#arrive(victim, { deviceId: DEVICE })
    await this.stage.tell(victim, notice(70_001))
    await act(victim)
    await this.stage.tell(victim, notice(70_002))
    const late = await this.#arrive(victim)
    await this.stage.tell(victim, notice(70_003))
    await expect
      .poll(() => [numbers(connected), numbers(late)])
      .toEqual([[70_001, 70_002, 70_003], [70_003]])
    expect(connected.names()).toEqual([
      'connection.authorized',
      ...Array<string>(3).fill('broker.connected'),
    ])
    expect(connected.closed).toEqual([])
    expect(
      this.#heard.flat().filter((text) => text.includes('b7000') || text.includes(victim)),
    ).toEqual([])
    connected.socket.disconnect()
    late.socket.disconnect()
    for (const socket of this.#sockets.splice(0)) socket.terminate()
    this.#heard.length = 0
  }

  async #arrive(sub: string, auth: Record<string, unknown> = {}): Promise<Client> {
    return this.stage.authorized({ auth, query: { token: await signed({ sub, iss: ISSUER }) } })
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.terminate()
    return this.stage[Symbol.asyncDispose]()
  }
}
