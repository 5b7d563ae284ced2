import { createLogger, runProcess, systemClock } from '#runtime'
import { Redis } from 'ioredis'
import { startEmbeddedRedis } from '../../setup/embedded-redis.mjs'

// The demo's Redis, behind a process of its own that ends with the demo: the server itself could not notice that the demo was killed.

/** How long the others may still need Redis to drain. */
const OTHERS_MS_MAX = 8_000
const LOOK_INTERVAL_MS = 100

/** Resolves when nobody but us is connected, or when it has taken too long. */
async function othersGone(url: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 })
  redis.on('error', () => {})
  const endMs = systemClock.monotonicMs() + OTHERS_MS_MAX
  try {
    while (systemClock.monotonicMs() < endMs) {
      const clients = String(await redis.client('LIST'))
      if (clients.trim().split('\n').length <= 1) return
      await systemClock.sleep(LOOK_INTERVAL_MS)
    }
  } catch {
    return // Redis is gone already
  } finally {
    redis.disconnect()
  }
}

await runProcess('redis', async () => {
  const server = await startEmbeddedRedis()
  process.stdout.write(`redis.ready ${server.url}\n`)
  const running = {
    async [Symbol.asyncDispose]() {
      await othersGone(server.url)
      await server.stop()
    },
  }
  return { running, log: createLogger('redis', 'warn') }
})
