import { names, unreached } from './sometimes.ts'
import { FAULT_GROUPS, type FaultGroup } from './deeds/index.ts'
import type { SimulationResult } from './simulation.ts'

/** With fewer runs than this, a rare situation is no evidence. */
const RUNS_JUDGED_MIN = 1_000
/**
 * What can happen happens in at least so many of a thousand runs, or it is in the list of what
 * cannot.
 */
const TIMES_MIN = 3

/** One thing that can happen: how often it did, and in how many runs. */
export type CoverageRow = Readonly<{ name: string; times: number; runs: number }>

/**
 * `missing`: what should have happened and did not; empty where there were too few runs to say, or
 * some faults were left out.
 */
export type Coverage = Readonly<{ rows: readonly CoverageRow[]; missing: readonly string[] }>

export function coverageOf(
  results: readonly SimulationResult[],
  faults: readonly FaultGroup[],
): Coverage {
  const totals = new Map<string, { times: number; runs: number }>()
  for (const { counts } of results)
    for (const [name, times] of Object.entries(counts)) {
      const total = totals.get(name) ?? { times: 0, runs: 0 }
      totals.set(name, { times: total.times + times, runs: total.runs + 1 })
    }
  const rows = [...new Set([...names, ...totals.keys()])]
    .sort((a, b) => (a < b ? -1 : 1))
    .map((name): CoverageRow => ({ name, ...(totals.get(name) ?? { times: 0, runs: 0 }) }))
  const isJudged = results.length >= RUNS_JUDGED_MIN && faults.length === FAULT_GROUPS.length
  const least = (TIMES_MIN * results.length) / RUNS_JUDGED_MIN
  const missing = rows.filter(
    ({ name, runs }) => names.has(name) && unreached[name] === undefined && runs < least,
  )
  return { rows, missing: isJudged ? missing.map(({ name }) => name) : [] }
}

/** The table, as text: Markdown. */
export function tableOf({ rows }: Coverage, runs: number): string {
  const lines = rows.map(
    ({ name, ...row }) => `| ${name} | ${row.times} | ${row.runs} | ${unreached[name] ?? ''} |`,
  )
  return [
    `Coverage of ${runs} runs.`,
    '',
    '| case | times | runs | why never |',
    '| --- | --: | --: | --- |',
    ...lines,
    '',
  ].join('\n')
}
