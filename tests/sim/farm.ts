import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { FaultGroup } from './deeds/index.ts'
import type { SimulationResult } from './simulation.ts'

/** Processes at once, at most: one for each processor. */
const PROCESSES_MAX = 16
/** A run that takes longer hangs: virtual time does not wait for anything. */
const RUN_MS_MAX = 300_000

export type FarmOptions = Readonly<{
  seeds: readonly number[]
  faults: readonly FaultGroup[]
  plant: string | null
  /** Hears each result as it comes; `false` ends the whole. */
  onResult(result: SimulationResult): boolean
}>

/** What a process of the farm is asked for; it answers each with a `SimulationResult`. */
export type SeedOrder = Readonly<{ seed: number; faults: readonly FaultGroup[] }>

/**
 * Runs every seed, each in one of as many processes as there are processors. Resolves with how many
 * processes there were.
 */
export async function farm({ seeds, faults, plant, onResult }: FarmOptions): Promise<number> {
  const count = Math.min(availableParallelism(), PROCESSES_MAX, seeds.length)
  const waiting = [...seeds]
  let isOver = false
  const work = async (): Promise<void> => {
    const child = fork(
      fileURLToPath(new URL('./seed-process.ts', import.meta.url)),
      plant === null ? [] : [plant],
    )
    try {
      for (let seed = waiting.shift(); seed !== undefined && !isOver; seed = waiting.shift())
        if (!onResult(await ask(child, { seed, faults }))) isOver = true
    } finally {
      child.kill('SIGKILL')
    }
  }
  await Promise.all(Array.from({ length: count }, work))
  return count
}

/** @throws {Error} the process ended, or did not answer in time */
function ask(child: ChildProcess, order: SeedOrder): Promise<SimulationResult> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`seed ${order.seed}: ${why}`))
    const timer = setTimeout(() => fail(`no end after ${RUN_MS_MAX / 1_000} s`), RUN_MS_MAX)
    const onExit = (code: number | null): void =>
      fail(`its process ended with ${code ?? 'a signal'}`)
    child.once('exit', onExit)
    child.once('message', (result) => {
      clearTimeout(timer)
      child.off('exit', onExit)
      resolve(result as SimulationResult)
    })
    child.send(order)
  })
}
