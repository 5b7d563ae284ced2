import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '#runtime'
import {
  createAlpacaBroker,
  createTransport,
  endpointOf,
} from '../../workers/broker/alpaca/index.ts'
import { realTimers } from '../conformance/broker-harness.ts'

/** A broker that answers everything the same, or with `null` nothing at all. */
export async function answering(status: number, body: string | null) {
  let requests = 0
  const server = createServer((_request, response) => {
    requests += 1
    if (body !== null) response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const endpoint = endpointOf(
    'sandbox',
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  )
  const transport = createTransport(endpoint, systemClock)
  return {
    broker: createAlpacaBroker({ keyId: 'K', secretKey: 'S' }, endpoint, transport, realTimers()),
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => void server.close(resolve))
      await transport.close()
    },
  }
}
