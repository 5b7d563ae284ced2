import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './source.ts'

// Findings that were there before their rule. Their counts may only shrink, and a rule without
// findings has no entry.

const FILE = join(root, 'tests/tidy/debts.json')

/** The findings of one rule that are still allowed, by file or by area. */
export type Debts = Readonly<Record<string, number>>

const readAll = (): Record<string, Debts> =>
  JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, Debts>

/** Debts that have grown, or of which the list still says more than there is. */
export function owed(rule: string, counts: Debts, debts: Debts = readAll()[rule] ?? {}): string[] {
  const names = [...new Set([...Object.keys(counts), ...Object.keys(debts)])].sort()
  return names.flatMap((name) => {
    const count = counts[name] ?? 0
    const allowed = debts[name] ?? 0
    if (count > allowed) return [`${name} has ${count}, allowed are ${allowed}`]
    return count < allowed
      ? [`${name} has only ${count} of ${allowed}: lower the list with UPDATE_TABLES=1`]
      : []
  })
}

/** Writes what is left of the debts of one rule, never more than was allowed. */
export function lowerDebts(rule: string, counts: Debts): void {
  const all = readAll()
  const left = Object.entries(all[rule] ?? {}).flatMap(([name, allowed]): [string, number][] => {
    const count = Math.min(allowed, counts[name] ?? 0)
    return count > 0 ? [[name, count]] : []
  })
  if (left.length === 0) delete all[rule]
  else all[rule] = Object.fromEntries(left)
  writeFileSync(FILE, `${JSON.stringify(all, null, 2)}\n`)
}

/** Findings counted by the file that they begin with. */
export function countsOf(findings: readonly string[]): Debts {
  const counts: Record<string, number> = {}
  for (const finding of findings) {
    const path = /^[^: ]+/.exec(finding)?.[0] ?? finding
    counts[path] = (counts[path] ?? 0) + 1
  }
  return counts
}
