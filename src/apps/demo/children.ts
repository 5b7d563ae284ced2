import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { systemClock } from '#runtime'

/** A started process that ends with the demo. */
export type Child = AsyncDisposable &
  Readonly<{ name: string; pid: number | undefined; readyLine: string }>

export type ChildOptions = Readonly<{
  name: string
  entry: string
  args?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** Part of the output line that reports readiness. */
  ready: string
}>

const READY_MS_MAX = 30_000
/** Longer than any child needs to drain. After this time the child gets SIGKILL. */
const STOP_MS_MAX = 12_000
/** Variables that a child inherits. No other variable of our environment reaches a child. */
const INHERITED = ['PATH', 'HOME'] as const

/**
 * Starts one process of the system under this same Node and waits for its readiness line.
 *
 * Each child has an IPC channel that carries no messages: when the demo dies, even by SIGKILL, the
 * channel closes and the child drains. Each child is a process group of its own: Ctrl-C in a
 * terminal reaches only the demo, which then stops the children in order.
 * @param onLine is called with every line that the child writes
 * @throws if the child ends, or writes no readiness line in time
 */
export async function startChild(
  { name, entry, args = [], env = {}, ready }: ChildOptions,
  onLine: (name: string, line: string) => void,
): Promise<Child> {
  const inherited = INHERITED.flatMap((key) =>
    process.env[key] === undefined ? [] : [[key, process.env[key]]],
  )
  const child = spawn(process.execPath, [entry, ...args], {
    env: { ...(Object.fromEntries(inherited) as Record<string, string>), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  })
  const stop = (): Promise<void> => stopChild(child)
  const readyLine = await new Promise<string>((resolve, reject) => {
    const cancelDeadline = systemClock.after(READY_MS_MAX, () =>
      reject(new Error(`${name} was not ready after ${READY_MS_MAX / 1000} s`)),
    )
    child.once('error', reject)
    child.once('exit', (code) =>
      reject(new Error(`${name} ended with ${code ?? 'a signal'} before it was ready`)),
    )
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        onLine(name, line)
        if (!line.includes(ready)) return
        cancelDeadline()
        resolve(line)
      })
    }
  }).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return { name, pid: child.pid, readyLine, [Symbol.asyncDispose]: stop }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const cancelKill = systemClock.after(STOP_MS_MAX, () => child.kill('SIGKILL'))
  await exited
  cancelKill()
}

/** The wanted port if it is free, else another free port; 0 always picks a free port. */
export async function freePort(wanted: number): Promise<number> {
  for (const port of [wanted, 0]) {
    const got = await new Promise<number | null>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(null))
      server.listen(port, '127.0.0.1', () => {
        const address = server.address()
        server.close(() =>
          resolve(typeof address === 'object' && address !== null ? address.port : null),
        )
      })
    })
    if (got !== null) return got
  }
  throw new Error('no free port on 127.0.0.1')
}
