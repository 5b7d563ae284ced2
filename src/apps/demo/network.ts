import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * A network path from one client to a server. A cut breaks open connections and refuses new
 * connections.
 */
export type Network = AsyncDisposable & Readonly<{ url: string; cut(): void; restore(): void }>

/** Forwards a port of its own on 127.0.0.1 to the server of `targetUrl`. */
export async function startNetwork(targetUrl: string): Promise<Network> {
  const { hostname, port: targetPort } = new URL(targetUrl)
  const open = new Set<Socket>()
  let isCut = false
  const breakAll = (): void => {
    for (const socket of open) socket.destroy()
  }
  const server = createServer((near) => {
    if (isCut) {
      near.destroy()
      return
    }
    const far = connect(Number(targetPort), hostname)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket)
      socket.on('error', () => {}) // `close` follows
      socket.once('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(0, '127.0.0.1', resolve),
  )
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      isCut = true
      breakAll()
    },
    restore() {
      isCut = false
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      breakAll()
      await closed
    },
  }
}
