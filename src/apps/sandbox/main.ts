import { ConfigError, createLogger, runProcess } from '#runtime'
import { readFlags, USAGE } from './flags.ts'
import { defaultAccounts, type SandboxOptions } from './options.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'

/** The port being taken is the user's to solve: said in one line. */
const start = (options: SandboxOptions): Promise<Sandbox> =>
  startSandbox(options).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'EADDRINUSE') throw error
    throw new ConfigError(`Port ${options.port ?? 0} is taken: choose another with --port`)
  })

const flags = (): SandboxOptions => {
  const options = readFlags(process.argv.slice(2))
  if (options !== 'help') return options
  process.stdout.write(`${USAGE}\n`)
  process.exit(0)
}

await runProcess('sandbox', async () => {
  const sandbox = await start(flags())
  const keys = defaultAccounts.map(({ keyId, secret }) => `${keyId} / ${secret}`).join(', ')
  process.stdout.write(
    `Alpaca-compatible sandbox on ${sandbox.url} (seed ${sandbox.seed})\n` +
      `  trade stream ${sandbox.wsUrl}/stream, stock data ${sandbox.wsUrl}/v2/iex, control ${sandbox.url}/_sandbox/\n` +
      `  keys ${keys}\n`,
  )
  return { running: sandbox, log: createLogger('sandbox', 'warn') }
})
