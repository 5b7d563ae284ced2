import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { Queue } from 'bullmq'
import { queues as queueNames } from '#contract'
import { createControlCommands } from '#producer'
import {
  type Clock,
  type ConfigOf,
  connectRedis,
  linkTrouble,
  type Logger,
  Metrics,
  redisReady,
  startProbes,
  systemRandomness,
} from '#runtime'
import { createQuarantinedOrders, createStoreEpoch } from '#store'
import { createDashboard } from './app.ts'
import { Sessions } from './session.ts'
import type { dashboardSettings } from './settings.ts'

/** A running dashboard. */
export type Dashboard = AsyncDisposable & Readonly<{ port: number; probePort: number }>

/** Starts the dashboard over every queue. */
export async function startDashboard(
  config: ConfigOf<typeof dashboardSettings>,
  clock: Clock,
  log: Logger,
): Promise<Dashboard> {
  const redis = connectRedis(config.redisUrl, 'prompt', log)
  const cleanUp = new AsyncDisposableStack()
  try {
    cleanUp.defer(() => redis.disconnect())
    const queues = await redisReady(redis, () =>
      Promise.all(
        Object.values(queueNames).map(async ({ name, prefix }) => {
          const queue = new Queue(name, { connection: redis, prefix, skipMetasUpdate: true })
          queue.on('error', (error) => log.warn({ error }, 'dashboard.queue_error'))
          cleanUp.defer(() => queue.close())
          // The queue reads the Redis version only once; if that read fails, it never works.
          await queue.waitUntilReady()
          return queue
        }),
      ),
    )
    const probes = cleanUp.use(
      await startProbes(config, new Metrics(true), () => linkTrouble(redis)),
    )
    const quarantine = {
      aside: createQuarantinedOrders(redis, () => clock.now()),
      epoch: createStoreEpoch(redis, () => systemRandomness.id(12)),
      controls: createControlCommands(redis, clock, log),
    }
    const sessions = new Sessions(redis, config.users, clock, systemRandomness)
    const app = createDashboard(queues, quarantine, config.users, sessions, clock, log)
    const server = await new Promise<ReturnType<typeof serve>>((resolve, reject) => {
      const starting = serve(
        {
          fetch: app.fetch,
          port: config.port,
          ...(config.listenHost === undefined ? {} : { hostname: config.listenHost }),
        },
        () => resolve(starting),
      )
      starting.once('error', reject)
    })
    cleanUp.defer(async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
    })
    const { port } = server.address() as AddressInfo
    log.info({ port, probePort: probes.port }, 'dashboard.ready')
    const started = cleanUp.move()
    return { port, probePort: probes.port, [Symbol.asyncDispose]: () => started.disposeAsync() }
  } catch (error) {
    await cleanUp.disposeAsync()
    throw error
  }
}
