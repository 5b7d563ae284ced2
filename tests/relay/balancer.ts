import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { systemClock } from '#runtime'
import { forwardRequest, forwardUpgrade } from '#transport'

/** A balancer without affinity. */
export type Balancer = AsyncDisposable &
  Readonly<{
    url: string
    /** Breaks up to `count` of the clients' connections, in the middle of their data. */
    cut(count: number): void
  }>

/**
 * Each request goes to any of the relays: requests of one session, its upgrade included, to
 * different ones. `relays` may change while it runs.
 */
export async function startBalancer(
  relays: readonly Readonly<{ port: number }>[],
  seed = 1,
): Promise<Balancer> {
  let state = seed
  const draw = (below: number): number => {
    state = (state * 48_271) % 2_147_483_647 // Park and Miller's generator: the same choices every time
    return state % below
  }
  const any = () => {
    const relay = relays[draw(relays.length)]
    if (relay === undefined) throw new Error('no relay is left')
    return { host: '127.0.0.1', port: relay.port, header: ['x-balanced', 'yes'] as const }
  }
  const connections = new Set<Socket>()
  const server = createServer((request, response) => {
    void forwardRequest(request, response, any(), systemClock).then(
      (result) => result === 'served' || response.writeHead(502).end(),
    )
  })
  server.on('upgrade', (request, socket, head) => {
    void forwardUpgrade(request, socket, head, any(), systemClock).then(
      (result) => result === 'served' || socket.destroy(),
    )
  })
  server.on('connection', (socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut(count) {
      const open = [...connections]
      for (let n = 0; n < count && open.length > 0; n += 1)
        open.splice(draw(open.length), 1)[0]?.destroy()
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of connections) socket.destroy()
      server.close()
    },
  }
}
