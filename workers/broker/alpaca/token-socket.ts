import WebSocket from 'ws'
import { z } from 'zod'
import type { CancelTimer, Clock } from '#runtime'
import type { VendorStream } from './trade-stream.ts'

/**
 * The trade stream of an account that is connected by OAuth access token, because the SDK streams
 * with key pairs only. The protocol, and the messages to the stream's keeper, are the same as the
 * SDK's. The object serves one connection.
 *
 *   connecting --open: authenticate--> --authorized: listen--> --listening--> subscribed
 *   closed at any point: over
 */
const PING_MS = 10_000
/** If a ping has no answer for this long, the connection is dead. */
const PONG_MS_MAX = 5_000
/** Limit for one message; a message of one order is a few kilobytes. */
const MESSAGE_BYTES_MAX = 1_048_576

const frameShape = z.object({ stream: z.string(), data: z.looseObject({}) })

export class TokenSocket implements VendorStream {
  readonly #url: string
  readonly #token: string
  readonly #clock: Clock
  #onSubscription: () => void = () => {}
  #onDisconnect: () => void = () => {}
  #onError: (message: string) => void = () => {}
  #onUpdate: (update: Readonly<Record<string, unknown>>) => void = () => {}
  #socket: WebSocket | null = null
  #cancelPing: CancelTimer = () => {}
  #cancelPong: CancelTimer = () => {}

  constructor(url: string, token: string, clock: Clock) {
    this.#url = url
    this.#token = token
    this.#clock = clock
  }

  on(_event: 'subscription', run: () => void): void {
    this.#onSubscription = run
  }

  onDisconnect(run: () => void): void {
    this.#onDisconnect = run
  }

  onError(run: (message: string) => void): void {
    this.#onError = run
  }

  onTradeUpdate(run: (update: Readonly<Record<string, unknown>>) => void): void {
    this.#onUpdate = run
  }

  /** The socket has no other subscription. */
  subscribeTradeUpdates(): void {}

  connect(): void {
    const socket = new WebSocket(this.#url, {
      maxPayload: MESSAGE_BYTES_MAX,
      perMessageDeflate: false,
    })
    this.#socket = socket
    socket.on('open', () => {
      this.#send({ action: 'authenticate', data: { oauth_token: this.#token } })
      this.#cancelPing = this.#clock.every(PING_MS, () => {
        socket.ping()
        this.#cancelPong()
        this.#cancelPong = this.#clock.after(PONG_MS_MAX, () => socket.terminate())
      })
    })
    socket.on('pong', () => this.#cancelPong())
    socket.on('message', (data: Buffer) => this.#receive(data.toString()))
    socket.on('error', ({ message }) => this.#onError(message))
    socket.on('close', () => {
      this.#stop()
      this.#onDisconnect()
    })
  }

  disconnect(): void {
    this.#stop()
    const socket = this.#socket
    this.#socket = null
    if (socket === null) return
    this.#onError = () => {} // ws reports an error if a socket is closed before it is open
    this.#onDisconnect = () => {}
    socket.close()
    this.#clock.after(PONG_MS_MAX, () => socket.terminate())
  }

  #receive(text: string): void {
    let frame: z.output<typeof frameShape>
    try {
      frame = frameShape.parse(JSON.parse(text))
    } catch {
      return this.#onError('a message of the trade stream could not be read')
    }
    const { stream, data } = frame
    if (stream === 'trade_updates') this.#onUpdate(data)
    else if (stream === 'listening') this.#onSubscription()
    else if (stream !== 'authorization')
      this.#onError(`a message of the unknown stream ${stream.slice(0, 64)}`)
    else if (data['status'] === 'authorized')
      this.#send({ action: 'listen', data: { streams: ['trade_updates'] } })
    else {
      this.#onError('auth failed')
      this.#socket?.close()
    }
  }

  #send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  #stop(): void {
    this.#cancelPing()
    this.#cancelPong()
  }
}
