// The whole test command: types, lint, format, then every suite. With arguments, only the suites that they name:
//   npm test                    everything
//   npm test -- tests/domain    one folder
import { spawnSync } from 'node:child_process'

const only = process.argv.slice(2)
const steps: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['types', 'tsc'],
  ['lint', 'eslint', '.', '--cache', '--cache-location', '.cache/eslint'],
  ['format', 'prettier', '--check', '.', '--log-level', 'warn', '--cache', '--cache-location', '.cache/prettier'],
]

for (const [name, command, ...args] of only.length > 0 ? [] : steps) {
  const began = performance.now()
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  if (status !== 0) {
    process.stderr.write(`${name}: failed (${command} ${args.join(' ')})\n`)
    process.exit(status ?? 1)
  }
  process.stdout.write(`${name}: passed in ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
}
process.exit(spawnSync('vitest', ['run', ...only], { stdio: 'inherit' }).status ?? 1)
