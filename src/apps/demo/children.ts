import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

/** A started child that must end with the demo. */
export type Child = Readonly<{ name: string; stop(): Promise<void> }>

const READY_MS_MAX = 30_000
const STOP_MS_MAX = 10_000

/**
 * Starts one process of the system under the same Node, in its own environment plus `env`, and waits for the log line `ready`.
 * It has an IPC channel, so that it drains when the demo dies, even by SIGKILL.
 * @param onLine hears every line that the child writes
 */
export async function startChild(
  name: string,
  entry: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  ready: string,
  onLine: (name: string, line: string) => void,
): Promise<Child> {
  // A group of its own: Ctrl-C reaches the demo alone, which then stops its children in order.
  const child = spawn(process.execPath, [entry, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const isReady = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        onLine(name, line)
        if (line.includes(ready)) resolve()
      })
    }
  })
  const failed = exited.then((code) => Promise.reject(new Error(`${name} ended with ${code} before it was ready`)))
  const late = AbortSignal.timeout(READY_MS_MAX)
  const tooLate = new Promise<never>((_, reject) => {
    late.addEventListener('abort', () => reject(new Error(`${name} was not ready after ${READY_MS_MAX} ms`)), {
      once: true,
    })
  })
  failed.catch(() => {}) // only the race listens, and it may be over
  tooLate.catch(() => {})
  try {
    await Promise.race([isReady, failed, tooLate])
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return { name, stop: () => stopChild(child, exited) }
}

async function stopChild(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  await exited
  clearTimeout(timer)
}

/** The wanted port if it is free, else one that is. */
export async function freePort(wanted: number): Promise<number> {
  for (const port of [wanted, 0]) {
    const got = await new Promise<number | null>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(null))
      server.listen(port, '127.0.0.1', () => {
        const address = server.address()
        server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null))
      })
    })
    if (got !== null) return got
  }
  throw new Error('no free port on 127.0.0.1')
}
