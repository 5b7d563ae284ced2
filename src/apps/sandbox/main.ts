import { ConfigError, createLogger, runProcess } from '#runtime'
import { readFlags, USAGE } from './flags.ts'
import { defaultAccounts, type SandboxOptions } from './options.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'

/** Messages for a port or an address that this machine cannot provide. */
const unusable: Readonly<Record<string, (options: SandboxOptions) => string>> = {
  EADDRINUSE: ({ port }) => `Port ${port ?? 0} is taken: choose another with --port`,
  EACCES: ({ port }) =>
    `Port ${port ?? 0} is not for everyone: choose one from 1024 on with --port`,
  EADDRNOTAVAIL: ({ host }) =>
    `This machine has no address ${host ?? ''}: choose another with --host`,
  ENOTFOUND: ({ host }) => `There is no address ${host ?? ''}: choose another with --host`,
}

/** An unusable port or address is a mistake of the user: it is reported in a single line. */
const start = (options: SandboxOptions): Promise<Sandbox> =>
  startSandbox(options).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    // Duplicate keys are found only when all accounts are opened.
    if (error instanceof RangeError && options.accounts !== undefined)
      throw new ConfigError(`--accounts: ${error.message}`)
    const said = unusable[String(code)]
    throw said === undefined ? error : new ConfigError(said(options))
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
