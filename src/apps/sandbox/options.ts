import { randomUUID } from 'node:crypto'
import type { Clock } from '#runtime'
import type { AccountSetup } from './control/accounts.ts'
import type { RateLimit } from './http/rate-limits.ts'
import type { DataPlan } from './streams/data-stream.ts'
import { createClock } from './time.ts'

/** The start options of a sandbox; every field is optional. */
export type SandboxOptions = Readonly<{
  /** 0 (default) picks a free port. */
  port?: number
  /** Default 127.0.0.1. Control calls from other machines are refused with any host. */
  host?: string
  /**
   * The same seed and the same commands give the same run. Default: a new seed each time, so ids
   * never repeat.
   */
  seed?: string
  /** Default: real time. Set either `clock`, or `time` and `speed`. */
  clock?: Clock
  /** `virtual` time begins at a fixed moment and only moves by command. Default real. */
  time?: 'real' | 'virtual'
  /** Speed of real time in the market, default 1. */
  speed?: number
  /** Accounts to open in addition to the two default accounts. */
  accounts?: readonly AccountSetup[]
  /** From acknowledgement to match, default 250. 0 matches in the next turn. */
  fillDelayMs?: number
  /** From a cancel request to the cancel, default 0 (the next turn). */
  cancelDelayMs?: number
  /** Between price steps, default 500. 0: prices stand still until set. */
  tickMs?: number
  /**
   * Recorded prices, played from the start: CSV with the header `time,symbol,price[,size]`, one
   * trade per line, oldest first. The first trade happens at once, each later trade at its recorded
   * distance. Symbols that are not in the recording walk. Default: all symbols walk.
   */
  prices?: string
  /** True (default) gives some orders a random first part. */
  partialFills?: boolean
  /** The share of orders that get a first part, 0 to 1, default 0.1. */
  partialFillShare?: number
  /**
   * Allows a limit or a stop on stock orders sized in money, as the broker announced; default
   * false.
   */
  notionalLimits?: boolean
  /**
   * Default true. While the market is closed, orders for stocks queue as `accepted`. `calendar`
   * follows the exchange's hours.
   */
  marketOpen?: boolean | 'calendar'
  /** The limits of the clients' market data plan. Default: no limits. */
  dataPlan?: DataPlan
  /**
   * The rate limit of each account without its own limit. Default: no limit, so tests do not wait;
   * the command line has the real 200 requests a minute.
   */
  rateLimit?: RateLimit
  /** The share of requests and stream events that fail by chance, 0 to 1, default 0. */
  faultShare?: number
  /** The same fault seed and the same requests fail alike. Default: the seed. */
  faultSeed?: string
}>

/** The default accounts, 100,000 USD each. */
export const defaultAccounts: readonly AccountSetup[] = [
  { keyId: 'demo-key', secret: 'demo-secret', oauthToken: 'demo-token' },
  { keyId: 'demo-key-2', secret: 'demo-secret-2' },
]

/** Fills in the defaults. */
export function completeOptions(
  options: SandboxOptions,
): Required<Omit<SandboxOptions, 'rateLimit'>> & Pick<SandboxOptions, 'rateLimit'> {
  const { seed = randomUUID(), accounts = [] } = options
  return {
    port: 0,
    host: '127.0.0.1',
    faultSeed: seed,
    faultShare: 0,
    time: 'real',
    speed: 1,
    clock: options.clock ?? createClock(options.time ?? 'real', options.speed ?? 1),
    fillDelayMs: 250,
    cancelDelayMs: 0,
    tickMs: 500,
    prices: '',
    partialFills: true,
    partialFillShare: 0.1,
    notionalLimits: false,
    marketOpen: true,
    dataPlan: {},
    ...options,
    seed,
    accounts: [...defaultAccounts, ...accounts],
  }
}
