// The benchmarks, by name. Not suites: they judge a machine as much as the code, and print figures.
//   npm run bench -- detection        how soon a fill is seen that the stream dropped, and its cost
//   npm run bench -- pipeline         an order and its fill, beside two naive pipelines
//   npm run bench -- relay            the cost of an event, beside a stock relay and a bare one
//   npm run bench -- sandbox          what one sandbox process carries
import { benchDetection } from './detection.ts'
import { benchPipeline } from './pipeline.ts'
import { benchRelay } from './relay.ts'
import { benchSandbox } from './sandbox.ts'

/**
 * Each takes the rest of the command line, prints its figures, and says whether nothing went wrong.
 */
const benchmarks = new Map<string, (args: readonly string[]) => Promise<boolean>>([
  ['detection', benchDetection],
  ['pipeline', benchPipeline],
  ['relay', benchRelay],
  ['sandbox', benchSandbox],
])

const [name = '', ...args] = process.argv.slice(2)
const benchmark = benchmarks.get(name)
if (benchmark === undefined) {
  const known = [...benchmarks.keys()].join(', ')
  process.stderr.write(
    `bench: there is no benchmark "${name}". Usage: npm run bench -- NAME, one of: ${known}\n`,
  )
  process.exitCode = 1
} else {
  process.exitCode = (await benchmark(args).catch((error: unknown) => {
    process.stderr.write(
      `bench ${name}: ${error instanceof Error ? error.message : String(error)}\n`,
    )
    return false
  }))
    ? 0
    : 1
}
