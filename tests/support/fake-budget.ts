import type { Budget, ConnectionRef, RequestKind } from '#store'

const WINDOW_MS = 65_000
const MOST = { all: 200, submit: 150, read: 40, beside: 16 } as const

/** The budget port in memory: every request with its time. */
export class FakeBudget implements Budget {
  readonly #accounts = new Map<string, { requests: { atMs: number; kind: RequestKind }[]; blockedUntilMs: number }>()
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
    const isBeside = (one: RequestKind): boolean => one === 'reconcile' || one === 'refresh'
    const isRead = (one: RequestKind): boolean => one === 'poll' || isBeside(one)
    const submits = kept.requests.filter((request) => request.kind === 'submit')
    const reads = kept.requests.filter((request) => isRead(request.kind))
    const beside = kept.requests.filter((request) => isBeside(request.kind))
    const full =
      kept.requests.length >= MOST.all
        ? kept.requests
        : kind === 'submit' && submits.length >= MOST.submit
          ? submits
          : isRead(kind) && reads.length >= MOST.read
            ? reads
            : isBeside(kind) && beside.length >= MOST.beside
              ? beside
              : null
    const [oldest] = full ?? []
    if (oldest !== undefined) return oldest.atMs + WINDOW_MS - nowMs
    kept.requests.push({ atMs: nowMs, kind })
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
    const kept = this.#accounts.get(key) ?? { requests: [], blockedUntilMs: 0 }
    this.#accounts.set(key, kept)
    return kept
  }
}
