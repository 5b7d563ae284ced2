import { Redis } from 'ioredis'
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/setup/embedded-redis.mjs'

/** A Redis server of the suite's own, and connections to it that are closed with it. */
export type TestRedis = EmbeddedRedis & { connect(): Redis }

export async function startRedis(options: Parameters<typeof startEmbeddedRedis>[0] = {}): Promise<TestRedis> {
  const server = await startEmbeddedRedis(options)
  const connections: Redis[] = []
  const stop = async (): Promise<void> => {
    for (const connection of connections) connection.disconnect()
    await server.stop()
  }
  return Object.assign(Object.create(server) as EmbeddedRedis, {
    connect(): Redis {
      const connection = new Redis(server.url, { maxRetriesPerRequest: null })
      connection.on('error', () => {}) // suites kill servers on purpose
      connections.push(connection)
      return connection
    },
    stop,
    [Symbol.asyncDispose]: stop,
  })
}
