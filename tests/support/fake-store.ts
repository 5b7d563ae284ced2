import { EVENT_ID_ZERO, type LoggedEvent } from '#contract'
import type { Account, Order, Position } from '#domain'
import type {
  CancelMark,
  Commit,
  CommitResult,
  Fence,
  Health,
  LoadedConnection,
  LoadedSlice,
  SliceAddress,
  Store,
} from '#store'

type Entry = Readonly<{ id: string; prev: string } & LoggedEvent>

/** The store port in memory. It passes the suite that the store on Redis passes, and shows what it holds. */
export class FakeStore implements Store {
  readonly #users = new Map<string, User>()
  readonly leases = new Map<string, string>()
  #timeUs = 1_700_000_000_000_000

  async loadSlice(userId: string, { orderId, connectionId, symbol }: SliceAddress): Promise<LoadedSlice> {
    const user = this.#user(userId)
    return {
      version: user.version,
      slice: {
        order: user.read<Order>(`order:${orderId}`),
        position: user.read<Position>(`position:${connectionId}:${symbol}`),
        account: user.read<Account>(`account:${connectionId}`),
      },
      claim: user.claims.get(orderId) ?? null,
      cancelMark: user.read<CancelMark>(`cancel:${orderId}`),
    }
  }

  async loadConnection(userId: string, connectionId: string): Promise<LoadedConnection> {
    const user = this.#user(userId)
    const positions = user.all<Position>('position:').filter((p) => p.connectionId === connectionId)
    return {
      version: user.version,
      account: user.read<Account>(`account:${connectionId}`),
      positions: new Map(positions.map((p) => [p.symbol, p])),
      orders: user.all<Order>('order:').filter((o) => o.connectionId === connectionId),
    }
  }

  async loadHealth(userId: string, connectionId: string): Promise<{ version: string; health: Health | null }> {
    const user = this.#user(userId)
    return { version: user.version, health: user.read<Health>(`health:${connectionId}`) }
  }

  async commit(userId: string, { expectVersion, fence, writes, events }: Commit): Promise<CommitResult> {
    const user = this.#user(userId)
    if (!this.#holds(userId, user, fence)) return { kind: 'fenced' }
    if (user.version !== expectVersion) return { kind: 'clash' }
    this.#timeUs += 1
    user.version = String(Math.max(Number(user.version) + 1, this.#timeUs))
    if (fence.kind === 'take') user.claims.set(fence.tradeId, `${user.version} ${fence.by}`)
    for (const write of writes) {
      if (write.kind === 'order') user.write(`order:${write.order.id}`, write.order)
      else if (write.kind === 'account') user.write(`account:${write.account.connectionId}`, write.account)
      else if (write.kind === 'position') user.write(`position:${write.connectionId}:${write.symbol}`, write.position)
      else if (write.kind === 'health') user.write(`health:${write.connectionId}`, write.health)
      else user.write(`cancel:${write.tradeId}`, write.mark)
    }
    for (const event of events) {
      const id = `${String(Math.floor(this.#timeUs / 1000)).padStart(13, '0')}-${String(user.log.length).padStart(5, '0')}`
      user.log.push({ id, prev: user.log.at(-1)?.id ?? EVENT_ID_ZERO, ...event })
    }
    return { kind: 'committed', version: user.version, lastEventId: user.log.at(-1)?.id ?? EVENT_ID_ZERO }
  }

  log(userId: string): readonly Entry[] {
    return this.#user(userId).log
  }

  #holds(userId: string, user: User, fence: Fence): boolean {
    if (fence.kind === 'lease') return this.leases.get(`${userId} ${fence.connectionId}`) === fence.token
    return fence.kind === 'claim' ? user.claims.get(fence.tradeId) === fence.claim : true
  }

  #user(userId: string): User {
    const user = this.#users.get(userId) ?? new User()
    this.#users.set(userId, user)
    return user
  }
}

/** Records are kept as text, as Redis keeps them, so that nobody shares an object with the store. */
class User {
  version = '0'
  readonly records = new Map<string, string>()
  readonly claims = new Map<string, string>()
  readonly log: Entry[] = []

  read<T>(name: string): T | null {
    const text = this.records.get(name)
    return text === undefined ? null : (JSON.parse(text) as T)
  }

  all<T>(prefix: string): T[] {
    return [...this.records].filter(([name]) => name.startsWith(prefix)).map(([, text]) => JSON.parse(text) as T)
  }

  write(name: string, value: object | null): void {
    if (value === null) this.records.delete(name)
    else this.records.set(name, JSON.stringify(value))
  }
}
