import type { Exposure, RiskLimits } from '#domain'
import {
  type BrokerConnection,
  type Connections,
  type ConnectionRef,
  type Controls,
  type ControlScope,
  type ControlSet,
  credentialsOf,
  type Halt,
  type IndexPosition,
  leavingRecord,
  type Link,
  type LinkedConnection,
  type LinkOutcome,
  type Links,
} from '#store'
import { connectionIdsIn } from '../../src/store/keys.ts'
import { parsedOnce } from './parsed.ts'

type Revised = Readonly<{ revision: string }>

/**
 * Control sets in memory: the ports `Controls`, `Connections` and `Links` over one set of records.
 */
export class FakeControls implements Controls {
  /** User -> name of the record -> the record as text. */
  readonly #sets = new Map<string, Map<string, string>>()
  readonly #index = new Map<string, number>()
  readonly #accounts = new Map<string, string>()
  #globalHalt: Halt | null = null
  readonly #nextRevision: () => number
  /** Called with the user whose records changed; `null`: every user. */
  readonly onChange = new Set<(userId: string | null) => void>()

  constructor(nextRevision: () => number) {
    this.#nextRevision = nextRevision
  }

  /** The connection is there, and its credentials are verified. */
  link(
    { userId, connectionId }: ConnectionRef,
    brokerAccountId = 'account-1',
    sealed = 'sealed',
  ): BrokerConnection {
    const record = this.#put<BrokerConnection>(userId, `connection:${connectionId}`, {
      schema: 1,
      userId,
      connectionId,
      brokerType: 'alpaca',
      env: 'sandbox',
      sealed,
      connectedAt: '',
    })
    const link = { schema: 1, env: 'sandbox', brokerAccountId, verified: record.revision } as const
    const account = `sandbox:${brokerAccountId}`
    if (!this.#accounts.has(account)) this.#accounts.set(account, `${userId} ${connectionId}`)
    this.#put<Link>(userId, `link:${connectionId}`, link)
    return record
  }

  connectionIds(userId: string): string[] {
    return connectionIdsIn([...this.#records(userId).keys()])
  }

  wipe(): void {
    this.#sets.clear()
    this.#index.clear()
    this.#accounts.clear()
    this.#globalHalt = null
    this.tell(null)
  }

  /** The connection of each broker account, as in the index of accounts: `<user> <connection>`. */
  holders(): ReadonlyMap<string, string> {
    return this.#accounts
  }

  readonly connections: Connections = {
    put: async (record) =>
      this.#put<BrokerConnection>(record.userId, `connection:${record.connectionId}`, {
        schema: 1,
        ...record,
      }),
    leave: (connection, openOrders) => this.connections.put(leavingRecord(connection, openOrders)),
    get: async ({ userId, connectionId }) => this.#get(userId, `connection:${connectionId}`),
    find: async (ref) => this.linked(ref),
    list: async (userId) => (await this.read(userId)).connections,
  }

  readonly links: Links = {
    get: async ({ userId, connectionId }) => this.#get(userId, `link:${connectionId}`),
    verify: async (connection, brokerAccountId) => this.#verify(connection, brokerAccountId),
    suspend: async ({ userId, connectionId, revision }) => {
      const known = this.#get<Link>(userId, `link:${connectionId}`)
      if (this.#get<Revised>(userId, `connection:${connectionId}`)?.revision !== revision) return
      if (known !== null) this.#put(userId, `link:${connectionId}`, { ...known, verified: '' })
    },
  }

  async read(userId: string): Promise<ControlSet> {
    return this.setOf(userId)
  }

  /** The same, without waiting. */
  setOf(userId: string): ControlSet {
    const all = <T>(kind: string): Map<string, T> => {
      const records = [...(this.#sets.get(userId) ?? [])].filter(([name]) =>
        name.startsWith(`${kind}:`),
      )
      return new Map(
        records.map(([name, text]) => [name.slice(kind.length + 1), parsedOnce<T>(text)]),
      )
    }
    return {
      userId,
      connections: [...all<BrokerConnection>('connection').values()],
      links: all<Link>('link'),
      limits: {
        user: this.#get<RiskLimits>(userId, 'limits'),
        byConnection: all<RiskLimits>('limits'),
      },
      halts: { user: this.#get<Halt>(userId, 'halt'), byConnection: all<Halt>('halt') },
      bars: new Map(),
    }
  }

  async readGlobalHalt(): Promise<Halt | null> {
    return this.#globalHalt
  }

  async setLimits(
    at: Exclude<ControlScope, { scope: 'global' }>,
    limits: object | null,
  ): Promise<void> {
    this.#put(at.userId, at.scope === 'user' ? 'limits' : `limits:${at.connectionId}`, limits)
  }

  async setHalt(
    at: ControlScope,
    halt: Omit<Halt, 'schema' | 'scope' | 'revision'> | null,
  ): Promise<void> {
    const record = halt === null ? null : ({ schema: 1, scope: at.scope, ...halt } as const)
    if (at.scope === 'global') {
      this.#globalHalt =
        record === null ? null : { ...record, revision: String(this.#nextRevision()) }
      this.tell(null)
    } else this.#put(at.userId, at.scope === 'user' ? 'halt' : `halt:${at.connectionId}`, record)
  }

  async restore(sets: readonly ControlSet[], globalHalt: Halt | null): Promise<void> {
    const isNewer = (known: Revised | null, given: Revised): boolean =>
      known === null || Number(known.revision) < Number(given.revision)
    if (globalHalt !== null && isNewer(this.#globalHalt, globalHalt)) this.#globalHalt = globalHalt
    for (const { userId, connections, links, limits, halts } of sets) {
      const put = (name: string, record: Revised | null): void => {
        if (record === null || !isNewer(this.#get<Revised>(userId, name), record)) return
        this.#records(userId).set(name, JSON.stringify(record))
        this.#index.set(userId, Math.max(this.#index.get(userId) ?? 0, Number(record.revision)))
      }
      for (const one of connections) put(`connection:${one.connectionId}`, one)
      for (const [id, one] of links) {
        put(`link:${id}`, one)
        const account = `${one.env}:${one.brokerAccountId}`
        if (!this.#accounts.has(account)) this.#accounts.set(account, `${userId} ${id}`)
      }
      put('limits', limits.user)
      for (const [id, one] of limits.byConnection) put(`limits:${id}`, one)
      put('halt', halts.user)
      for (const [id, one] of halts.byConnection) put(`halt:${id}`, one)
    }
    this.tell(null)
  }

  async remove({ userId, connectionId }: ConnectionRef): Promise<void> {
    const link = this.#get<Link>(userId, `link:${connectionId}`)
    for (const kind of ['connection', 'link', 'limits', 'halt'])
      this.#put(userId, `${kind}:${connectionId}`, null)
    const account = `${link?.env}:${link?.brokerAccountId}`
    if (this.#accounts.get(account) === `${userId} ${connectionId}`) this.#accounts.delete(account)
  }

  async changedSince(
    from: IndexPosition,
    limit: number,
  ): Promise<readonly { userId: string; position: number }[]> {
    return [...this.#index]
      .map(([userId, position]) => ({ userId, position }))
      .filter(({ position }) => position >= from)
      .sort((a, b) => a.position - b.position || (a.userId < b.userId ? -1 : 1))
      .slice(0, limit)
  }

  async prune(userId: string, position: IndexPosition): Promise<void> {
    if (this.#index.get(userId) === position) this.#index.delete(userId)
  }

  /** The halt that covers a submission on this connection, the user's before the connection's. */
  haltOf({ userId, connectionId }: ConnectionRef, exposure: Exposure): Halt | null {
    const halts = [this.#get<Halt>(userId, 'halt'), this.#get<Halt>(userId, `halt:${connectionId}`)]
    const passes = ({ allows }: Halt): boolean =>
      exposure === 'shrinks' || (exposure === 'reduces' && allows === 'reducing')
    return halts.find((halt) => halt !== null && !passes(halt)) ?? null
  }

  /** @param used revision of the credentials that are asked for (default: the latest) */
  standingOf(ref: ConnectionRef, used?: string): 'none' | 'unverified' | 'verified' {
    const found = this.linked(ref)
    if (found === null) return 'none'
    const { revision } = found.connection
    return found.link?.verified === revision && revision === (used ?? revision)
      ? 'verified'
      : 'unverified'
  }

  /**
   * A connection in its current state, without waiting: as a process caches it right after a read.
   */
  linked({ userId, connectionId }: ConnectionRef): LinkedConnection | null {
    const connection = this.#get<BrokerConnection>(userId, `connection:${connectionId}`)
    return connection === null
      ? null
      : { connection, link: this.#get<Link>(userId, `link:${connectionId}`) }
  }

  #verify(connection: BrokerConnection, brokerAccountId: string): LinkOutcome {
    const { userId, connectionId, env, revision } = connection
    const known = this.#get<Link>(userId, `link:${connectionId}`)
    if (known !== null && (known.brokerAccountId !== brokerAccountId || known.env !== env))
      return 'other_account'
    const account = `${env}:${brokerAccountId}`
    const holder = `${userId} ${connectionId}`
    if ((this.#accounts.get(account) ?? holder) !== holder) return 'linked_elsewhere'
    if (this.#get<Revised>(userId, `connection:${connectionId}`)?.revision !== revision)
      return 'outdated'
    this.#accounts.set(account, holder)
    const verified = credentialsOf(connection)
    if (known?.verified !== verified)
      this.#put(userId, `link:${connectionId}`, { schema: 1, env, brokerAccountId, verified })
    return 'verified'
  }

  #get<T>(userId: string, name: string): T | null {
    const text = this.#sets.get(userId)?.get(name)
    return text === undefined ? null : parsedOnce<T>(text)
  }

  #put<T extends Revised>(userId: string, name: string, record: Omit<T, 'revision'> | null): T {
    const revision = String(this.#nextRevision())
    const written = { ...record, revision } as T
    if (record === null) this.#records(userId).delete(name)
    else this.#records(userId).set(name, JSON.stringify(written))
    this.#index.set(userId, Number(revision))
    this.tell(userId)
    return written
  }

  /** Says that something has changed. */
  tell(userId: string | null): void {
    for (const listener of this.onChange) listener(userId)
  }

  #records(userId: string): Map<string, string> {
    const records = this.#sets.get(userId) ?? new Map<string, string>()
    this.#sets.set(userId, records)
    return records
  }
}
