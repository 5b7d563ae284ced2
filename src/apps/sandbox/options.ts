import { randomUUID } from 'node:crypto'
import type { Clock } from '#runtime'
import type { AccountSetup } from './control/accounts.ts'
import type { RateLimit } from './http/rate-limits.ts'
import type { DataPlan } from './streams/data-stream.ts'
import { createClock } from './time.ts'

/** How a sandbox starts; every field may be left out. */
export type SandboxOptions = Readonly<{
  /** 0 (default) picks a free one. */
  port?: number
  /** Default 127.0.0.1. Control calls are refused from other machines whatever this says. */
  host?: string
  /**
   * The same seed and the same commands give the same run. Default: a new one each time, so that
   * ids never repeat.
   */
  seed?: string
  /** Default: real time. Set it, or `time` and `speed`. */
  clock?: Clock
  /** `virtual` time begins at a fixed moment and moves by command only. Default real. */
  time?: 'real' | 'virtual'
  /** How fast real time runs in the market, default 1. */
  speed?: number
  /** Opened beside the two default accounts. */
  accounts?: readonly AccountSetup[]
  /** From acknowledgement to match, default 250. 0 matches in the next turn. */
  fillDelayMs?: number
  /** From a cancel request to the cancel, default 0 (the next turn). */
  cancelDelayMs?: number
  /** Between price steps, default 500. 0: prices stand still until set. */
  tickMs?: number
  /**
   * Recorded prices, played from the start: CSV with the header `time,symbol,price[,size]`, a trade
   * a line, oldest first. The first trade happens at once and the others at the same distance as
   * then. Symbols that are not in it walk. Default: all walk.
   */
  prices?: string
  /** Whether some orders get a random first part, default true. */
  partialFills?: boolean
  /** Share of orders that do, 0 to 1, default 0.1. */
  partialFillShare?: number
  /**
   * Whether orders for stocks that are sized in money may have a limit or a stop, as the broker
   * announced; default false.
   */
  notionalLimits?: boolean
  /**
   * Default true. When closed, orders for stocks queue as `accepted`. `calendar` keeps the
   * exchange's hours.
   */
  marketOpen?: boolean | 'calendar'
  /** What the clients' market data plan allows. Default: everything. */
  dataPlan?: DataPlan
  /**
   * What each account may send, unless it has a limit of its own. Default: as much as it likes, so
   * that tests are not held up; the command line has the real 200 a minute.
   */
  rateLimit?: RateLimit
  /** Share of requests and stream events that fail by chance, 0 to 1, default 0. */
  faultShare?: number
  /** The same fault seed and the same requests fail alike. Default: the seed. */
  faultSeed?: string
}>

/** The accounts that are always there, 100,000 USD each. */
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
