import { Redis } from 'ioredis'
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/setup/embedded-redis.mjs'

/** A Redis server of the suite's own, and connections to it that are closed with it. */
export type TestRedis = EmbeddedRedis & {
  connect(): Redis
  /** By another way to the same server. */
  connectTo(url: string): Redis
}

export async function startRedis(
  options: Parameters<typeof startEmbeddedRedis>[0] = {},
): Promise<TestRedis> {
  const server = await startEmbeddedRedis(options)
  const connections: Redis[] = []
  const stop = async (): Promise<void> => {
    for (const connection of connections) connection.disconnect()
    await server.stop()
  }
  const connectTo = (url: string): Redis => {
    const connection = new Redis(url, { maxRetriesPerRequest: null })
    connection.on('error', () => {}) // suites kill servers on purpose
    connections.push(connection)
    return connection
  }
  return Object.assign(Object.create(server) as EmbeddedRedis, {
    connect: () => connectTo(server.url),
    connectTo,
    stop,
    [Symbol.asyncDispose]: stop,
  })
}
