import type { Budget, ConnectionRef, RequestKind } from '#store'

const WINDOW_MS = 65_000
const SPARE_BELOW = 80
const ALL_MAX = 200
const isBeside = (kind: RequestKind): boolean => kind === 'reconcile' || kind === 'refresh'
/** The last ten of a window are for these. */
const isUrgent = (kind: RequestKind): boolean => kind === 'cancel' || kind === 'resolve'
/** What may be asked in a window, each share of those that it is about; a share that yields does so while there is enough to spare. */
const SHARES: readonly Readonly<{ of(kind: RequestKind): boolean; most: number; yields: boolean }>[] = [
  { of: () => true, most: 190, yields: false },
  { of: (kind) => kind === 'submit', most: 150, yields: false },
  { of: (kind) => kind === 'poll' || isBeside(kind), most: 40, yields: true },
  { of: isBeside, most: 16, yields: true },
]

type Taken = Readonly<{ atMs: number; kind: RequestKind; isSpare: boolean }>

/** The budget port in memory: every request with its time. */
export class FakeBudget implements Budget {
  readonly #accounts = new Map<string, { requests: Taken[]; blockedUntilMs: number }>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  async take(account: ConnectionRef, kind: RequestKind): Promise<number> {
    return this.takeNow(account, kind)
  }

  /** For the store, which takes and commits in one step. */
  takeNow(account: ConnectionRef, kind: RequestKind): number {
    const nowMs = this.#nowMs()
    const kept = this.#account(account)
    if (kept.blockedUntilMs > nowMs) return kept.blockedUntilMs - nowMs
    kept.requests = kept.requests.filter(({ atMs }) => atMs > nowMs - WINDOW_MS)
    const isLittle = kept.requests.length < SPARE_BELOW
    let isSpare = false
    for (const { of, most, yields } of SHARES) {
      const counted = of(kind) ? kept.requests.filter((one) => of(one.kind) && !(yields && one.isSpare)) : []
      const [oldest] = counted
      if (oldest === undefined || counted.length < (isUrgent(kind) ? ALL_MAX : most)) continue
      if (!yields || !isLittle) return oldest.atMs + WINDOW_MS - nowMs
      isSpare = true
    }
    kept.requests.push({ atMs: nowMs, kind, isSpare })
    return 0
  }

  async block(account: ConnectionRef, forMs: number): Promise<void> {
    const kept = this.#account(account)
    kept.blockedUntilMs = Math.max(kept.blockedUntilMs, this.#nowMs() + forMs)
  }

  wipe(): void {
    this.#accounts.clear()
  }

  #account({ userId, connectionId }: ConnectionRef) {
    const key = `${userId} ${connectionId}`
    const kept = this.#accounts.get(key) ?? { requests: [] as Taken[], blockedUntilMs: 0 }
    this.#accounts.set(key, kept)
    return kept
  }
}
