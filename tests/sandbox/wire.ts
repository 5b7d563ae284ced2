import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Sandbox } from '#sandbox'

/**
 * A plain HTTP and WebSocket client, so that nothing of an SDK stands between a test and the wire.
 */

export type Answer = { status: number; headers: Headers; body: unknown }

export const demoKeys = { 'apca-api-key-id': 'demo-key', 'apca-api-secret-key': 'demo-secret' }

/** @param body text is sent as it is, anything else as JSON */
export async function call(
  sandbox: Sandbox,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = demoKeys,
): Promise<Answer> {
  const sent =
    body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
  const type: Record<string, string> =
    body === undefined ? {} : { 'content-type': 'application/json' }
  const response = await fetch(sandbox.url + path, {
    method,
    headers: { ...type, ...headers },
    ...sent,
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : (JSON.parse(text) as unknown),
  }
}

export type Frame = { data: Buffer; binary: boolean }

/** An open socket with everything it heard. */
export class Wire {
  readonly frames: Frame[] = []
  readonly socket: WebSocket

  constructor(url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url, { headers })
    this.socket.on('message', (data: Buffer, binary) => void this.frames.push({ data, binary }))
    this.socket.on('error', () => undefined)
  }

  /** The received messages, parsed as JSON. */
  get heard(): unknown[] {
    return this.frames.map(({ data }) => JSON.parse(data.toString()) as unknown)
  }

  async opened(): Promise<this> {
    await once(this.socket, 'open')
    return this
  }

  send(message: unknown): void {
    this.socket.send(
      message instanceof Uint8Array || typeof message === 'string'
        ? message
        : JSON.stringify(message),
    )
  }

  async closed(): Promise<void> {
    if (this.socket.readyState !== WebSocket.CLOSED) await once(this.socket, 'close')
  }
}
