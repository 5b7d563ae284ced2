import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * A process of a benchmark or soak: its CPU and memory are measured apart from other processes, and
 * it never outlives its owner.
 */
export interface ManagedProcess {
  readonly pid: number
  /** The line by which it said that it is ready. */
  readonly readyLine: string
  /** User and system CPU since it began, ms; undefined where there is no /proc. */
  cpuMs(): number | undefined
  /** Memory in use, MiB; undefined where there is no /proc. */
  rssMib(): number | undefined
  /** Asks it to stop, and insists when it does not. */
  stop(): Promise<void>
  /** Ends it as a crash would. */
  kill(): Promise<void>
}

export type ProcessOptions = Readonly<{
  /** From the repository's root. */
  entry: string
  args?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** Recognizes the line by which it says that it is ready. */
  ready: RegExp
  /** Where a CPU profile of the whole run goes; undefined: none is taken. */
  profileFolder?: string | undefined
  /** Hears every line of its standard output after the ready one. */
  onLine?: (line: string) => void
}>

const START_MS_MAX = 30_000
/** Longer than a worker's drain deadline. */
const STOP_MS_MAX = 28_000
/** Linux reports CPU times to programs in hundredths of a second, for any tick of the kernel. */
const MS_PER_TICK = 10
const pathOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/**
 * utime + stime. The second field, the program's name, may hold spaces: fields are counted after
 * it.
 */
export function cpuMsOf(pid: number): number | undefined {
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

/**
 * Files and connections that a process of ours may have open; unlimited where there is no /proc.
 */
export function openFilesMax(): number {
  if (!existsSync('/proc/self/limits')) return Infinity
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return limit === undefined ? Infinity : Number(limit)
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  const insist = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  child.kill(signal)
  await exited
  clearTimeout(insist)
}

/** @throws {Error} it did not come up in time */
export async function startProcess(options: ProcessOptions): Promise<ManagedProcess> {
  const { entry, args = [], env = {}, ready, profileFolder, onLine } = options
  const profile =
    profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]
  const leash = ['--import', new URL('../../src/setup/leash.mjs', import.meta.url).href]
  const child = spawn(process.execPath, [...profile, ...leash, pathOf(entry), ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    // It ends when this process does, however that comes about.
    env: { ...process.env, ...env, FILLCAST_LEASH: '3' },
  })
  const { pid, stdout } = child
  if (pid === undefined || stdout === null) throw new Error(`${entry} cannot be started`)
  const tooLate = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX)
  const lines = createInterface({ input: stdout })
  const readyLine = await new Promise<string | null>((resolve) => {
    let isReady = false
    lines.on('line', (line) => {
      if (isReady) return onLine?.(line)
      isReady = ready.test(line)
      if (isReady) resolve(line)
    })
    lines.on('close', () => resolve(null))
  })
  clearTimeout(tooLate)
  if (readyLine === null) throw new Error(`${entry} did not come up within ${START_MS_MAX} ms`)
  return {
    pid,
    readyLine,
    cpuMs: () => cpuMsOf(pid),
    rssMib: () => rssMibOf(pid),
    stop: () => end(child, 'SIGTERM'),
    kill: () => end(child, 'SIGKILL'),
  }
}

/** A sandbox without a rate limit, in a process of its own. */
export async function startSandboxProcess(
  args: readonly string[],
  profileFolder?: string,
): Promise<ManagedProcess & { url: string }> {
  const sandbox = await startProcess({
    entry: 'src/apps/sandbox/main.ts',
    args: ['--rate-limit', '0', ...args],
    ready: / on http:\/\/\S+/,
    profileFolder,
  })
  return { ...sandbox, url: / on (http:\/\/\S+)/.exec(sandbox.readyLine)?.[1] ?? '' }
}
