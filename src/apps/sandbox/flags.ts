import { readFileSync, statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ConfigError } from '#runtime'
import { parseRecording } from './broker/replay.ts'
import { readAccountsFile } from './control/accounts.ts'
import type { SandboxOptions } from './options.ts'

export const USAGE = `Usage: npm run sandbox -- [options]
  --port N              port to listen on, 0 picks a free one (default 8085)
  --host ADDRESS        address to listen on (default 127.0.0.1)
  --seed TEXT           repeatable prices, ids and partial fills (default: a new seed each time)
  --no-partial-fills    every order fills at once; --partial-fills (default): one in ten gets a random first part
  --notional-limits     orders for stocks that are sized in money may have a limit or a stop (default: market only)
  --fill-delay-ms N     from acknowledgement to match (default 250)
  --tick-ms N           between price steps, 0 stands still (default 500)
  --prices FILE         recorded prices to play from the start: CSV, time,symbol,price[,size]; other symbols walk at random
  --clock real|virtual  virtual time moves only by the control call clock/advance (default real)
  --speed N             how fast real time runs in the market, 1 to 10000 (default 1)
  --accounts FILE       JSON array of accounts to open beside the demo ones
  --rate-limit N        requests a minute and account, as the real one; 0 for as many as they like (default 200)
  --rate-limit-headers  always, until-over (not on 429, as measured) or never (default always)
  --fault-share N       share of requests and stream events that fail by chance, 0 to 1 (default 0)
  --fault-seed TEXT     which ones do (default: the seed)
  --help                this text`

const PORT_DEFAULT = 8085
const PORT_MAX = 65_535
const DELAY_MS_MAX = 3_600_000

function wholeNumber(
  flag: string,
  text: string | undefined,
  fallback: number,
  max: number,
  min = 0,
): number {
  if (text === undefined) return fallback
  if (!/^\d{1,9}$/.test(text) || Number(text) > max || Number(text) < min) {
    throw new ConfigError(
      `--${flag} must be a whole number from ${min} to ${max}, not "${text}"\n${USAGE}`,
    )
  }
  return Number(text)
}

/** A number from 0 to 1; 0 if the flag is absent. */
function share(flag: string, text: string | undefined): number {
  if (text === undefined) return 0
  if (!/^(0(\.\d{1,6})?|1(\.0{1,6})?)$/.test(text)) {
    throw new ConfigError(`--${flag} must be a number from 0 to 1, not "${text}"\n${USAGE}`)
  }
  return Number(text)
}

const SPEED_MAX = 10_000

/** The market's time from `--clock` and `--speed`. */
function timeOf(clock: string, speed: string | undefined): Pick<SandboxOptions, 'time' | 'speed'> {
  if (clock !== 'real' && clock !== 'virtual') {
    throw new ConfigError(`--clock must be real or virtual, not "${clock}"\n${USAGE}`)
  }
  if (clock === 'virtual' && speed !== undefined)
    throw new ConfigError(`--speed is for the real clock only\n${USAGE}`)
  return { time: clock, speed: wholeNumber('speed', speed, 1, SPEED_MAX, 1) }
}

/** A larger file is refused unread; a recording could not hold its trades. */
const PRICES_BYTES_MAX = 16 * 1024 * 1024

/**
 * The text of a file of recorded prices, checked.
 * @throws {ConfigError} naming the file and the line
 */
function readPricesFile(path: string): string {
  try {
    if (statSync(path).size > PRICES_BYTES_MAX)
      throw new RangeError(`larger than ${PRICES_BYTES_MAX} bytes`)
    const text = readFileSync(path, 'utf8')
    parseRecording(text)
    return text
  } catch (error) {
    throw new ConfigError(
      `--prices ${path}: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

const RATE_LIMIT_DEFAULT = 200
const RATE_LIMIT_MAX = 1_000_000
const headersByName = new Map<string, boolean | 'until_over'>([
  ['always', true],
  ['until-over', 'until_over'],
  ['never', false],
])

function rateLimitOf(
  perMinute: string | undefined,
  headersName: string,
): Pick<SandboxOptions, 'rateLimit'> {
  const limit = wholeNumber('rate-limit', perMinute, RATE_LIMIT_DEFAULT, RATE_LIMIT_MAX)
  const headers = headersByName.get(headersName)
  if (headers === undefined) {
    throw new ConfigError(
      `--rate-limit-headers must be always, until-over or never, not "${headersName}"\n${USAGE}`,
    )
  }
  return limit === 0 ? {} : { rateLimit: { perMinute: limit, headers } }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        port: { type: 'string' },
        host: { type: 'string', default: '127.0.0.1' },
        seed: { type: 'string' },
        'partial-fills': { type: 'boolean', default: true },
        'notional-limits': { type: 'boolean', default: false },
        'fill-delay-ms': { type: 'string' },
        'tick-ms': { type: 'string' },
        prices: { type: 'string' },
        clock: { type: 'string', default: 'real' },
        speed: { type: 'string' },
        accounts: { type: 'string' },
        'rate-limit': { type: 'string' },
        'rate-limit-headers': { type: 'string', default: 'always' },
        'fault-share': { type: 'string' },
        'fault-seed': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new ConfigError(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
  }
}

/**
 * The command line as options, or `help`.
 * @throws {ConfigError} naming the flag that is wrong, with the usage
 */
export function readFlags(args: readonly string[]): SandboxOptions | 'help' {
  const flags = parse(args)
  if (flags.help) return 'help'
  return {
    port: wholeNumber('port', flags.port, PORT_DEFAULT, PORT_MAX),
    host: flags.host,
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(flags['fault-seed'] === undefined ? {} : { faultSeed: flags['fault-seed'] }),
    ...timeOf(flags.clock, flags.speed),
    ...(flags.accounts === undefined ? {} : { accounts: readAccountsFile(flags.accounts) }),
    ...(flags.prices === undefined ? {} : { prices: readPricesFile(flags.prices) }),
    ...rateLimitOf(flags['rate-limit'], flags['rate-limit-headers']),
    faultShare: share('fault-share', flags['fault-share']),
    partialFills: flags['partial-fills'],
    notionalLimits: flags['notional-limits'],
    fillDelayMs: wholeNumber('fill-delay-ms', flags['fill-delay-ms'], 250, DELAY_MS_MAX),
    tickMs: wholeNumber('tick-ms', flags['tick-ms'], 500, DELAY_MS_MAX),
  }
}
