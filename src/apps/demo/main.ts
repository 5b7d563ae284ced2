import { parseArgs } from 'node:util'
import { type Demo, demoUsers, startDemo } from './launcher.ts'
import { playOnce } from './once.ts'

const HELP = `Fillcast on this machine, with nothing to configure.

  npm run demo                 start everything and print where it is; Ctrl-C ends it
  npm run demo -- --once       play the three flow examples with plain clients, print each event, and judge them

  --seed N     seed of the sandbox's market (default 7)
  --verbose    print the log lines of every process on stderr
`

const say = (line: string): void => void process.stderr.write(`${line}\n`)

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        seed: { type: 'string', default: '7' },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (!/^\d{1,9}$/.test(values.seed)) throw new TypeError('--seed takes a whole number')
    return values
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    process.exit(2)
  }
}

const options = readOptions()
if (options.help) {
  say(HELP)
  process.exit(0)
}

/** The last lines of every process, for when something goes wrong. */
const LINES_KEPT = 40
const lines: string[] = []
const demoOptions = {
  ports: options.once
    ? { page: 0, relay: 0, dashboard: 0, sandbox: 0 }
    : { page: 3000, relay: 3001, dashboard: 3002, sandbox: 8085 },
  seed: Number(options.seed),
  partialFills: !options.once,
  onLine(name: string, line: string) {
    lines.push(`${name} | ${line}`)
    if (lines.length > LINES_KEPT) lines.shift()
    if (options.verbose) say(`${name} | ${line}`)
  },
}

say('Starting Redis, sandbox, workers, relay, dashboard and trade API ...')
let demo: Demo | null = null
let isEnding = false
async function end(code: number): Promise<never> {
  if (isEnding) process.exit(1)
  isEnding = true
  await demo?.[Symbol.asyncDispose]()
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    say('Ending ...')
    void end(0)
  })
}

try {
  demo = await startDemo(demoOptions)
  if (options.once) {
    const why = await playOnce(demo, (line) => void process.stdout.write(`${line}\n`))
    process.stdout.write(`${JSON.stringify(why.length === 0 ? { ok: true, examples: 3 } : { ok: false, why })}\n`)
    await end(why.length === 0 ? 0 : 1)
  }
  const users = demoUsers.map(({ name, password }) => `${name} / ${password}`).join(', ')
  say(`
  Trading page   ${demo.pageUrl}      log in as ${users}
  Dashboard      ${demo.dashboardUrl}      log in as ${demo.dashboardLogin}
  Relay          ${demo.relayUrl}
  Sandbox        ${demo.sandboxUrl}      an Alpaca-compatible broker; keys demo-key / demo-secret

  Ctrl-C ends everything.
`)
} catch (error) {
  say(lines.join('\n'))
  say(error instanceof Error ? (error.stack ?? error.message) : String(error))
  if (options.once)
    process.stdout.write(`${JSON.stringify({ ok: false, why: [error instanceof Error ? error.message : 'failed'] })}\n`)
  await end(1)
}
