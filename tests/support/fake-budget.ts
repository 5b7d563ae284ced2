import type { Budget, ConnectionRef, RequestKind } from '#store'

/** Requests are counted by slices of this length; a window is so many of them. */
const SLICE_MS = 5_000
const SLICES = 13
const BLOCK_MS_MAX = 60_000
const SPARE_BELOW = 80
const ALL_MAX = 200
const isBeside = (kind: RequestKind): boolean => kind === 'reconcile' || kind === 'refresh'
/** The last ten of a window are for these. */
const isUrgent = (kind: RequestKind): boolean => kind === 'cancel' || kind === 'resolve'
/**
 * The requests that a window allows, in total and by class; a share that yields does so while there
 * is enough to spare.
 */
const SHARES: readonly Readonly<{
  of(kind: RequestKind): boolean
  most: number
  yields: boolean
}>[] = [
  { of: () => true, most: 190, yields: false },
  { of: (kind) => kind === 'submit', most: 150, yields: false },
  { of: (kind) => kind === 'poll' || isBeside(kind), most: 40, yields: true },
  { of: isBeside, most: 16, yields: true },
]

type Taken = Readonly<{ slice: number; kind: RequestKind; isSpare: boolean }>
type Account = Readonly<{
  requests: readonly Taken[]
  block: Readonly<{ untilMs: number; lengthMs: number }>
}>

/** The budget port in memory: every request with its slice. */
export class FakeBudget implements Budget {
  /** How often it lost everything. */
  losses = 0
  /** Requests that had leave when it lost everything last, by `<user> <connection>`. */
  givenBeforeLoss: ReadonlyMap<string, number> = new Map()
  readonly #accounts = new Map<string, Account>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  async take(account: ConnectionRef, kind: RequestKind): Promise<number> {
    return this.takeNow(account, kind)
  }

  /** For the store, which takes and commits in one step. @param isTaken false: only asks */
  takeNow(account: ConnectionRef, kind: RequestKind, isTaken = true): number {
    const nowMs = this.#nowMs()
    const now = Math.floor(nowMs / SLICE_MS)
    const kept = this.#read(account, nowMs)
    if (kept.block.untilMs > nowMs) return kept.block.untilMs - nowMs
    const isLittle = kept.requests.length < SPARE_BELOW
    let isSpare = false
    for (const { of, most, yields } of SHARES) {
      const counted = of(kind)
        ? kept.requests.filter((one) => of(one.kind) && !(yields && one.isSpare))
        : []
      const [oldest] = counted
      if (oldest === undefined || counted.length < (isUrgent(kind) ? ALL_MAX : most)) continue
      if (!yields || !isLittle) return (oldest.slice + SLICES) * SLICE_MS - nowMs
      isSpare = true
    }
    if (isTaken)
      this.#write(account, { ...kept, requests: [...kept.requests, { slice: now, kind, isSpare }] })
    return 0
  }

  async block(account: ConnectionRef, forMs: number): Promise<void> {
    const nowMs = this.#nowMs()
    const kept = this.#read(account, nowMs)
    const lengthMs = Math.min(forMs, BLOCK_MS_MAX)
    const isLonger = nowMs + lengthMs > kept.block.untilMs
    this.#write(
      account,
      isLonger ? { ...kept, block: { untilMs: nowMs + lengthMs, lengthMs } } : kept,
    )
  }

  wipe(): void {
    this.losses += 1
    const oldest = Math.floor(this.#nowMs() / SLICE_MS) - SLICES
    this.givenBeforeLoss = new Map(
      [...this.#accounts].map(([name, { requests }]) => [
        name,
        requests.filter(({ slice }) => slice > oldest).length,
      ]),
    )
    this.#accounts.clear()
  }

  /**
   * The account at this time: times later than now, from before a step back of the time, count as
   * now, and are stored so.
   */
  #read(account: ConnectionRef, nowMs: number): Account {
    const now = Math.floor(nowMs / SLICE_MS)
    const { requests, block } = this.#accounts.get(keyOf(account)) ?? EMPTY
    const isAhead =
      requests.some(({ slice }) => slice > now) || block.untilMs > nowMs + block.lengthMs
    const kept: Account = {
      requests: requests
        .filter(({ slice }) => slice > now - SLICES)
        .map((one) => ({ ...one, slice: Math.min(one.slice, now) })),
      block: { ...block, untilMs: Math.min(block.untilMs, nowMs + block.lengthMs) },
    }
    if (isAhead) this.#write(account, kept)
    return kept
  }

  #write(account: ConnectionRef, kept: Account): void {
    this.#accounts.set(keyOf(account), kept)
  }
}

const EMPTY: Account = { requests: [], block: { untilMs: 0, lengthMs: 0 } }
const keyOf = ({ userId, connectionId }: ConnectionRef): string => `${userId} ${connectionId}`
