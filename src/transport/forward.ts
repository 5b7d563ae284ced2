import { Agent, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'

/** Another server of ours, and the header by which it knows that the request comes from us. */
export type ForwardTarget = Readonly<{ host: string; port: number; header: readonly [name: string, value: string] }>

/** Longer than anything that is held open on purpose, so that a server that hangs is noticed. */
const SILENCE_MS_MAX = 60_000
const SOCKETS_PER_HOST_MAX = 4_096
// No timeout here: equal to the request's, it would leave a reused connection with the short one that it had while it was idle.
const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_PER_HOST_MAX })

/** Hands a request to another server, and its answer back. Resolves when that is over; `false`: nothing was answered yet. */
export function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { host, port, header: [name, value] }: ForwardTarget,
): Promise<boolean> {
  const { method, url: path } = request
  return new Promise((resolve) => {
    const headers = { ...request.headers, [name]: value }
    const onward = httpRequest({ host, port, method, path, headers, agent, timeout: SILENCE_MS_MAX }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.on('error', () => response.destroy()).pipe(response)
    })
    onward.on('timeout', () => onward.destroy(new Error('silent for too long')))
    onward.on('error', () => {
      if (response.headersSent) response.destroy()
      resolve(response.headersSent || response.destroyed)
    })
    response.on('close', () => {
      onward.destroy()
      resolve(true)
    })
    request.pipe(onward)
  })
}

/** Hands a connection that asks for an upgrade to another server, bytes as they come. Resolves when that is over, or `false` when it cannot be reached. */
export function forwardUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { host, port, header }: ForwardTarget,
): Promise<boolean> {
  return new Promise((resolve) => {
    const onward = connect({ host, port, timeout: SILENCE_MS_MAX })
    let isThrough = false
    const end = (): void => {
      onward.destroy()
      if (isThrough) socket.destroy()
      resolve(isThrough || socket.destroyed)
    }
    onward.once('connect', () => {
      isThrough = true
      const lines = [`${request.method} ${request.url} HTTP/1.1`, `${header[0]}: ${header[1]}`]
      for (let i = 0; i < request.rawHeaders.length; i += 2)
        lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`)
      onward.write(`${lines.join('\r\n')}\r\n\r\n`)
      onward.write(head)
      onward.pipe(socket).pipe(onward)
    })
    onward.on('timeout', end).on('error', end).on('close', end)
    socket.on('error', end).on('close', end)
  })
}
