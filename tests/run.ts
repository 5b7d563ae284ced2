// The whole test command: types, lint and format, then every suite. With arguments, only the suites
// that they name:
//   npm test                          everything
//   npm test -- tests/domain          one folder
//   npm test -- --project unit        what needs no Redis
import { type ChildProcess, spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

type Step = readonly [name: string, command: string, ...args: string[]]

const checks: readonly Step[] = [
  ['types', 'tsc', '--pretty'],
  // No cache: with type-aware rules, a change in one file can make another one wrong.
  ['lint', 'eslint', '.', '--color', '--max-warnings', '0'],
  [
    'format',
    'prettier',
    '--check',
    '.',
    '--log-level',
    'warn',
    '--cache',
    '--cache-location',
    '.cache/prettier',
  ],
]

const running = new Set<ChildProcess>()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const child of running) child.kill(signal)
  })
}

/** Resolves with the exit code; a command that cannot start or is killed counts as failed. */
function exitOf(child: ChildProcess): Promise<number> {
  running.add(child)
  return new Promise((resolve) => {
    child.once('error', () => resolve(1))
    child.once('close', (code) => {
      running.delete(child)
      resolve(code ?? 1)
    })
  })
}

/** Runs one check and prints its output in one piece, also beside other checks. */
async function check([name, command, ...args]: Step): Promise<() => boolean> {
  const began = performance.now()
  // The tools keep compiled code; it belongs to the project, not into the machine's temporary
  // folder.
  const env = { ...process.env, NODE_COMPILE_CACHE: '.cache/node' }
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const [output, errors, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exitOf(child),
  ])
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  return () => {
    process.stdout.write(
      code === 0 ? `${name}: passed in ${seconds} s\n` : `${output}${errors}${name}: FAILED\n`,
    )
    return code === 0
  }
}

const only = process.argv.slice(2)
const failed: string[] = []
if (only.length === 0) {
  const reports = checks.map((step) => [step[0], check(step)] as const)
  for (const [name, report] of reports) if (!(await report)()) failed.push(name)
}
if ((await exitOf(spawn('vitest', ['run', ...only], { stdio: 'inherit' }))) !== 0)
  failed.push('suites')
if (failed.length > 0) process.stdout.write(`FAILED: ${failed.join(', ')}\n`)
process.exitCode = failed.length > 0 ? 1 : 0
