import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from './clock.ts'
import type { Metrics } from './metrics.ts'

/** `undefined` if the process is ready, else one line with the reason. */
export type ReadinessCheck = () => string | undefined | Promise<string | undefined>

/** Remarks for an operator about a process that is ready all the same, one line each. */
export type Remarks = () => Promise<readonly string[]>

/** A running probe server. */
export type Probes = Readonly<{ port: number; [Symbol.asyncDispose](): Promise<void> }>

/** Where probes listen; port 0 picks a free port, no host means every address of the machine. */
export type ProbeConfig = Readonly<{ probePort: number; listenHost?: string | undefined }>

/**
 * The most time for the checks behind `/readyz`: a check that waits for a silent Redis must not
 * keep the probe waiting too.
 */
const CHECK_MS_MAX = 1_000

const refusal = (reason: string): [number, string] => [503, `not ready: ${reason}\n`]

/**
 * Serves `/healthz` (the event loop answers), `/readyz` (200 with remarks, or 503 with the reason)
 * and `/metrics` (Prometheus text).
 */
export async function startProbes(
  { probePort, listenHost }: ProbeConfig,
  metrics: Metrics,
  notReady: ReadinessCheck,
  remarks: Remarks = () => Promise.resolve([]),
): Promise<Probes> {
  const answer = async (path: string | undefined): Promise<[number, string]> => {
    if (path === '/healthz') return [200, 'ok\n']
    if (path === '/metrics') return [200, await metrics.registry.metrics()]
    if (path !== '/readyz') return [404, 'not found: try /healthz, /readyz or /metrics\n']
    const late = `no answer to a check within ${CHECK_MS_MAX / 1_000} s`
    return Promise.race([readiness(), systemClock.sleep(CHECK_MS_MAX).then(() => refusal(late))])
  }
  const readiness = async (): Promise<[number, string]> => {
    const reason = await notReady()
    if (reason !== undefined) return refusal(reason)
    return [200, ['ready', ...(await remarks())].map((line) => `${line}\n`).join('')]
  }
  const server = createServer((request, response) => {
    void answer(request.url)
      .catch((error: unknown) => refusal(error instanceof Error ? error.message : 'unknown'))
      .then(([status, text]) =>
        response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text),
      )
  })
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(probePort, listenHost, resolve),
  )
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
