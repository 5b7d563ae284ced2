// Runs of a whole system in virtual time, each made by its seed: users, venue, network and machines
// do what comes to them, and the rules are checked at every step. npm run sim -- --help
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { hash } from 'node:crypto'
import { coverageOf, tableOf } from './coverage.ts'
import type { FaultGroup } from './deeds/index.ts'
import { farm } from './farm.ts'
import { type Flags, readFlags, USAGE } from './flags.ts'
import { planted } from './planted.ts'
import { simulate, type SimulationResult } from './simulation.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const fileOf = (name: string): URL => new URL(name, import.meta.url)

/** The results of several runs. */
type Sweep = Readonly<{ results: readonly SimulationResult[]; processes: number; seconds: number }>

async function sweep(
  seeds: readonly number[],
  faults: readonly FaultGroup[],
  plant: string | null,
): Promise<Sweep> {
  const began = performance.now()
  const results: SimulationResult[] = []
  const onResult = (result: SimulationResult): boolean => results.push(result) > 0
  const processes = await farm({ seeds, faults, plant, onResult })
  results.sort((a, b) => a.seed - b.seed)
  return { results, processes, seconds: (performance.now() - began) / 1_000 }
}

/** Seeds that ever failed, with their findings. */
const failedSeeds = (): number[] => {
  const rows = JSON.parse(readFileSync(fileOf('failed-seeds.json'), 'utf8')) as { seed: number }[]
  return rows.map(({ seed }) => seed)
}

function seedsOf({ seeds, from, isWithFailed }: Flags): number[] {
  const first =
    from ??
    Number.parseInt(
      execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).slice(0, 7),
      16,
    )
  const drawn = Array.from({ length: seeds }, (_, index) => first + index)
  return [...new Set([...(isWithFailed ? failedSeeds() : []), ...drawn])]
}

/** Runs whose traces, step by step, are all the same have the same hash. */
const hashOf = (results: readonly SimulationResult[]): string =>
  hash('sha256', results.map(({ seed, trace }) => `${seed} ${trace}\n`).join('')).slice(0, 16)

function faultsFlag(faults: readonly FaultGroup[]): string {
  return faults.length === 0 ? ' --faults none' : ` --faults ${faults.join(',')}`
}

async function showRun(seed: number, faults: readonly FaultGroup[]): Promise<boolean> {
  const { Timeline } = await import('./timeline.ts')
  const timeline = new Timeline()
  const result = await simulate({ seed, faults: new Set(faults), timeline })
  for (const line of timeline.lines) say(line)
  say(`seed ${seed}: ${result.steps} steps, trace ${result.trace.slice(0, 16)}`)
  say(result.violation === null ? 'no rule was broken' : result.violation)
  return result.violation === null
}

/**
 * A run that broke a rule, as its reader needs it: what was found, what led to it, and how to see
 * it again.
 */
async function tellViolation(
  { seed, violation }: SimulationResult,
  faults: readonly FaultGroup[],
): Promise<void> {
  say(`\nseed ${seed} broke a rule:\n${violation ?? ''}`)
  const { Timeline } = await import('./timeline.ts')
  const timeline = new Timeline()
  await simulate({ seed, faults: new Set(faults), timeline })
  say(
    `what led to it (the last ${LINES_SHOWN} of ${timeline.lines.length} lines; idle steps are left out):`,
  )
  for (const line of timeline.lines.slice(-LINES_SHOWN)) say(line)
  say(`again: npm run sim -- --trace ${seed}${faultsFlag(faults)}`)
}

const LINES_SHOWN = 60
/** Runs that broke a rule and are shown in full; of the others there is a line. */
const SHOWN_MAX = 3

/**
 * Runs seeds until one breaks a rule that it does not break without the defect. `runs`: how many it
 * took.
 */
async function findDefect(
  seeds: readonly number[],
  faults: readonly FaultGroup[],
  plant: string,
): Promise<Readonly<{ runs: number; found: SimulationResult | null }>> {
  const suspects: SimulationResult[] = []
  let runs = 0
  const onResult = (result: SimulationResult): boolean => {
    runs += 1
    if (result.violation !== null) suspects.push(result)
    return result.violation === null
  }
  for (let from = 0; from < seeds.length; from = runs) {
    await farm({ seeds: seeds.slice(from), faults, plant, onResult })
    for (const found of suspects.splice(0))
      if ((await simulate({ seed: found.seed, faults: new Set(faults) })).violation === null)
        return { runs, found }
  }
  return { runs, found: null }
}

/** Each defect, until a run finds it. */
async function huntDefects(flags: Flags): Promise<boolean> {
  let isAllFound = true
  for (const { name, what } of planted.filter(
    (one) => flags.plant === 'all' || one.name === flags.plant,
  )) {
    const began = performance.now()
    const { runs, found } = await findDefect(seedsOf(flags), flags.faults, name)
    const seconds = ((performance.now() - began) / 1_000).toFixed(0)
    isAllFound &&= found !== null
    const rule = found?.violation?.split('\n')[1] ?? ''
    say(
      `${name} (${what}): ${found === null ? `NOT FOUND in ${runs} runs` : `found after ${runs} runs, ${seconds} s: ${rule}`}`,
    )
  }
  return isAllFound
}

async function main(flags: Flags): Promise<boolean> {
  if (flags.trace !== null) return showRun(flags.trace, flags.faults)
  if (flags.plant !== null) return huntDefects(flags)
  const seeds = seedsOf(flags)
  const { results, processes, seconds } = await sweep(seeds, flags.faults, null)
  const again = flags.isTwice ? await sweep(seeds, flags.faults, null) : null
  const differing = results.filter(
    ({ trace }, index) => again !== null && again.results[index]?.trace !== trace,
  )
  const broken = results.filter(({ violation }) => violation !== null)
  const steps = results.reduce((sum, result) => sum + result.steps, 0)
  const coverage = coverageOf(results, flags.faults)
  if (flags.isKept) writeFileSync(fileOf('COVERAGE.md'), tableOf(coverage, results.length))
  if (flags.isJson) {
    const { rows, missing } = coverage
    const brief = {
      seeds: results.length,
      from: seeds[0],
      faults: flags.faults,
      processes,
      seconds,
      steps,
    }
    say(
      JSON.stringify({
        ...brief,
        hash: hashOf(results),
        violations: broken,
        coverage: rows,
        missing,
      }),
    )
  } else {
    for (const result of broken.slice(0, SHOWN_MAX)) await tellViolation(result, flags.faults)
    for (const { seed, violation } of broken.slice(SHOWN_MAX))
      say(`seed ${seed}: ${violation?.split('\n')[1] ?? ''}`)
    say(tableOf(coverage, results.length))
    for (const name of coverage.missing) say(`never, or too seldom: ${name}`)
    if (again !== null)
      say(
        `each run twice: ${differing.length} differ${differing.map(({ seed }) => `, seed ${seed}`).join('')}; ${hashOf(results)} and ${hashOf(again.results)}`,
      )
    const rate = (results.length / seconds).toFixed(1)
    say(
      `${results.length} runs, ${steps} steps, ${seconds.toFixed(0)} s on ${processes} processes (${rate} runs a second), hash ${hashOf(results)}`,
    )
    say(`sim: ${broken.length} violations, ${coverage.missing.length} missing`)
  }
  return broken.length === 0 && differing.length === 0 && coverage.missing.length === 0
}

try {
  const flags = readFlags(process.argv.slice(2))
  if (flags.isHelp) say(USAGE)
  else process.exitCode = (await main(flags)) ? 0 : 1
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
