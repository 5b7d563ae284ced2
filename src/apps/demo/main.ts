import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { onFault } from '#runtime'
import { type Demo, type DemoOptions, demoUsers, ownLog, startDemo } from './launcher.ts'
import { playOnce } from './once.ts'

const HELP = `Fillcast on this machine, with nothing to configure.

  npm run demo                 start everything and print where it is; Ctrl-C ends it
  npm run demo -- --once       play the three flow examples of the event specification with plain clients, print
                               each event as a line of JSON on standard output, and judge them

  --seed N     the sandbox's market, for a run like an earlier one (default: another each time)
  --verbose    print what every process writes, on standard error
  --help       this text

A Redis named by REDIS_URL is used instead of one of its own.
`

/**
 * Writes a line for people to standard error: standard output carries only the events of --once.
 */
const say = (line: string): void => void process.stderr.write(`${line}\n`)

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        seed: { type: 'string', default: String(randomInt(1_000_000)) },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (!/^\d{1,9}$/.test(values.seed))
      throw new TypeError('--seed takes a whole number of at most 9 digits')
    return values
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    process.exit(2)
  }
}

const options = readOptions()
if (options.help) {
  process.stdout.write(HELP)
  process.exit(0)
}

/** The last lines of every process, printed if the demo fails. */
const LINES_KEPT = 60
const lines: string[] = []
const onLine = (name: string, line: string): void => {
  lines.push(`${name} | ${line}`)
  if (lines.length > LINES_KEPT) lines.shift()
  if (options.verbose) say(`${name} | ${line}`)
}
const log = ownLog(onLine)
const demoOptions: DemoOptions = {
  ports: options.once
    ? { page: 0, relay: 0, dashboard: 0, sandbox: 0 }
    : { page: 3000, relay: 3001, dashboard: 3002, sandbox: 8085 },
  seed: options.seed,
  partialFills: !options.once,
  redisUrl: process.env['REDIS_URL'] === '' ? undefined : process.env['REDIS_URL'],
  onLine,
}

/** One Ctrl-C may arrive twice, from the terminal and from npm; only a later signal is a second. */
const SECOND_SIGNAL_MS_MIN = 1_000
const stack = new AsyncDisposableStack()
let endingSinceMs: number | null = null

/**
 * Drains everything, last started first. A second Ctrl-C exits at once: the children drain when
 * their IPC channel closes.
 */
async function end(code: number): Promise<void> {
  const nowMs = performance.now()
  if (endingSinceMs !== null) {
    if (nowMs - endingSinceMs > SECOND_SIGNAL_MS_MIN) process.exit(130)
    return
  }
  endingSinceMs = nowMs
  await stack.disposeAsync().catch((error: unknown) => say(`While ending: ${String(error)}`))
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (endingSinceMs === null) say('Ending ...')
    void end(options.once ? 130 : 0)
  })
}

onFault((event, error) => {
  log.fatal({ error }, event)
  if (endingSinceMs === null) say(lines.join('\n'))
  void end(1)
})

/** @returns the exit code */
async function once(demo: Demo): Promise<number> {
  const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
  const began = performance.now()
  let events = 0
  const why = await playOnce(demo, (received) => {
    events += 1
    print(received)
  })
  const isRight = why.length === 0
  print(
    isRight
      ? { ok: true, examples: 3, events, ms: Math.round(performance.now() - began) }
      : { ok: false, why },
  )
  return isRight ? 0 : 1
}

function welcome(demo: Demo): void {
  const logins = demoUsers.map(({ name, password }) => `${name} / ${password}`).join(', ')
  const [first] = demoUsers
  say(`
  Trading page   ${demo.pageUrl}    ${logins}
  Dashboard      ${demo.dashboardUrl}    ${demo.dashboardLogin}
  Relay          ${demo.relayUrl}
  Sandbox        ${demo.sandboxUrl}    an Alpaca-compatible broker, keys ${first.keyId} / ${first.secretKey}, seed ${options.seed}

  Ctrl-C ends everything.
`)
}

try {
  say(`Starting Redis, sandbox, workers, relay, dashboard and trade API (seed ${options.seed}) ...`)
  const demo = await startDemo(demoOptions, stack)
  if (options.once) await end(await once(demo))
  else welcome(demo)
} catch (error) {
  if (endingSinceMs === null) {
    say(
      `${lines.join('\n')}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    )
    if (options.once) {
      const why = [error instanceof Error ? error.message : String(error)]
      process.stdout.write(`${JSON.stringify({ ok: false, why })}\n`)
    }
    await end(1)
  }
}
