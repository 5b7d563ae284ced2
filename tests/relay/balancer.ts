import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { forwardRequest, forwardUpgrade } from '#runtime'
import type { Relay } from '../../relay/server.ts'

/** A balancer without affinity: each request goes to any of the relays. `relays` may change while it runs. */
export async function startBalancer(relays: Relay[], seed = 1): Promise<AsyncDisposable & { url: string }> {
  let state = seed
  const any = () => {
    state = (state * 48_271) % 2_147_483_647 // Park and Miller's generator: the same choices every time
    const relay = relays[state % relays.length]
    if (relay === undefined) throw new Error('no relay is left')
    return { host: '127.0.0.1', port: relay.port, header: ['x-balanced', 'yes'] as const }
  }
  const server = createServer((request, response) => {
    void forwardRequest(request, response, any()).then((isServed) => isServed || response.writeHead(502).end())
  })
  server.on('upgrade', (request, socket, head) => {
    void forwardUpgrade(request, socket, head, any()).then((isServed) => isServed || socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
