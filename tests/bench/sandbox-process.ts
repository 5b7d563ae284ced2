import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A sandbox in a process of its own, so that its CPU and memory are told apart from the benchmark's. */
export interface SandboxProcess {
  readonly url: string
  /** User and system CPU since it began, ms; undefined where there is no /proc. */
  cpuMs(): number | undefined
  /** Memory in use, MiB; undefined where there is no /proc. */
  rssMib(): number | undefined
  /** Asks it to stop, and insists when it does not. */
  stop(): Promise<void>
}

const START_MS_MAX = 30_000
const STOP_MS_MAX = 10_000
/** Linux tells CPU times to programs in hundredths of a second, whatever the kernel's own tick. */
const MS_PER_TICK = 10
const pathOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** utime + stime. The second field, the program's name, may hold spaces: fields are counted after it. */
function cpuMsOf(pid: number): number | undefined {
  if (!existsSync(`/proc/${pid}/stat`)) return undefined
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK
}

function rssMibOf(pid: number): number | undefined {
  if (!existsSync(`/proc/${pid}/status`)) return undefined
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return kib === undefined ? undefined : Number(kib) / 1024
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  const insist = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  child.kill('SIGTERM')
  await exited
  clearTimeout(insist)
}

/**
 * @param profileFolder where a CPU profile of the whole run goes; undefined: none is taken
 * @throws {Error} it did not come up in time
 */
export async function startSandboxProcess(
  sandboxArgs: readonly string[],
  profileFolder: string | undefined,
): Promise<SandboxProcess> {
  const profile = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]
  const leash = ['--import', new URL('../../src/setup/leash.mjs', import.meta.url).href]
  const child = spawn(
    process.execPath,
    [...profile, ...leash, pathOf('src/apps/sandbox/main.ts'), '--rate-limit', '0', ...sandboxArgs],
    {
      stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
      // It ends when this process does, however that comes about.
      env: { ...process.env, FILLCAST_LEASH: '3' },
    },
  )
  const { pid, stdout } = child
  if (pid === undefined || stdout === null) throw new Error('the sandbox cannot be started')
  const tooLate = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX)
  let url: string | undefined
  for await (const line of createInterface({ input: stdout })) {
    url = / on (http:\/\/\S+)/.exec(line)?.[1]
    if (url !== undefined) break
  }
  clearTimeout(tooLate)
  stdout.resume()
  if (url === undefined) throw new Error(`the sandbox did not come up within ${START_MS_MAX} ms`)
  return { url, cpuMs: () => cpuMsOf(pid), rssMib: () => rssMibOf(pid), stop: () => stop(child) }
}
