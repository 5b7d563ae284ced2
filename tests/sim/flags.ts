import { parseArgs } from 'node:util'
import { FAULT_GROUPS, type FaultGroup } from './deeds/index.ts'
import { planted } from './planted.ts'

export const USAGE = `Usage: npm run sim -- [options]
  --seeds N        how many runs (default 100)
  --from K         the first seed (default 0); "commit": derived from the commit that is checked out
  --failed         also every seed that ever failed (tests/sim/failed-seeds.json)
  --faults LIST    all (default), none, or some of: ${FAULT_GROUPS.join(', ')}
  --trace SEED     one run, and everything that happened in it
  --twice          every run in two processes: the same seed must be the same run
  --plant NAME     with a defect in the code, until a run finds it: ${planted.map(({ name }) => name).join(', ')}, or all
  --keep           write what happened how often into tests/sim/COVERAGE.md
  --json           one JSON object instead of text
  --help           this text`

/** How the command was called. */
export type Flags = Readonly<{
  seeds: number
  /** `null`: derived from the commit. */
  from: number | null
  isWithFailed: boolean
  faults: readonly FaultGroup[]
  trace: number | null
  isTwice: boolean
  plant: string | null
  isKept: boolean
  isJson: boolean
  isHelp: boolean
}>

const SEEDS_MAX = 1_000_000
/** Seeds are 32 bits wide, and the commit's lie anywhere among them. */
const SEED_MAX = 2 ** 32 - 1
const SEEDS_DEFAULT = 100

/** @throws {Error} what is wrong with a flag, and how the command is used */
export function readFlags(args: readonly string[]): Flags {
  const text = { type: 'string' } as const
  const yes = { type: 'boolean', default: false } as const
  const options = {
    seeds: text,
    from: text,
    faults: text,
    trace: text,
    plant: text,
    failed: yes,
    twice: yes,
    keep: yes,
    json: yes,
    help: yes,
  }
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values']
  try {
    values = parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`, {
      cause: error,
    })
  }
  return {
    seeds:
      values.seeds === undefined ? SEEDS_DEFAULT : wholeNumber('seeds', values.seeds, 1, SEEDS_MAX),
    from: values.from === 'commit' ? null : wholeNumber('from', values.from ?? '0', 0, SEED_MAX),
    isWithFailed: values.failed === true,
    faults: faultsOf(values.faults ?? 'all'),
    trace: values.trace === undefined ? null : wholeNumber('trace', values.trace, 0, SEED_MAX),
    isTwice: values.twice === true,
    plant: values.plant === undefined ? null : plantOf(values.plant),
    isKept: values.keep === true,
    isJson: values.json === true,
    isHelp: values.help === true,
  }
}

function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value
  throw new Error(`--${flag} must be a whole number from ${min} to ${max}, not "${text}"\n${USAGE}`)
}

const isGroup = (name: string): name is FaultGroup => FAULT_GROUPS.some((group) => group === name)

function faultsOf(text: string): readonly FaultGroup[] {
  if (text === 'all') return FAULT_GROUPS
  if (text === 'none') return []
  return text.split(',').map((name) => {
    if (isGroup(name)) return name
    throw new Error(
      `--faults: there is no "${name}"; name some of ${FAULT_GROUPS.join(', ')}, or all, or none\n${USAGE}`,
    )
  })
}

function plantOf(name: string): string {
  if (name === 'all' || planted.some((one) => one.name === name)) return name
  throw new Error(`--plant: there is no "${name}"\n${USAGE}`)
}
