import { disconnectJobId } from '#contract'
import type { Clock } from '#runtime'
import type { BrokerCredentials, ConnectionRef, Vault } from '#store'
import type { Broker } from '../../../workers/broker/port.ts'
import { FakeBroker } from '../../support/fake-broker.ts'
import type { FakeControls } from '../../support/fake-controls.ts'
import type { ModelQueue } from './queue.ts'

/** Part of every credential of a world: a log, event or job with this text has leaked it. */
export const SECRET = 'open-sesame'

/**
 * Work that waits for a connection continues within this time, because a worker pauses for half a
 * minute after it found the connection unusable.
 */
const RESUMED_MS = 40_000

/** A connection and its account. */
export type Account = Readonly<{ ref: ConnectionRef; broker: FakeBroker }>

/** A key pair of an account. */
type Keys = { readonly broker: FakeBroker; isRevoked: boolean }

/**
 * The kind of new keys: of the account of the connection, of this account but refused, or of an
 * account of another user.
 */
export type NewKeys = 'good' | 'revoked' | 'other_account'

/**
 * The accounts at the broker, their keys, and the connections of users with these keys, made as the
 * trade API makes them.
 *
 *   absent --connect--> unverified --a check logs in--> verified --rotateKeys--> unverified
 *   any --disconnect--> leaving --> absent
 *
 * A process calls an account with the keys that it read. The broker checks the keys of each call.
 */
export class Accounts {
  /**
   * All connections that were ever made, each with its latest account: the rules compare them. The
   * array is changed in place, never replaced.
   */
  readonly all: Account[] = []
  readonly #clock: Clock
  readonly #controls: FakeControls
  readonly #queue: ModelQueue
  /** By account number. */
  readonly #brokers = new Map<string, FakeBroker>()
  /** By their sealed text. */
  readonly #keys = new Map<string, Keys>()
  /** By connection, the latest last. */
  readonly #given = new Map<string, Keys[]>()
  /** How often each connection was linked while it did not exist. */
  readonly #timesLinked = new Map<string, number>()
  /** The time of the verification of each connection. */
  readonly #verifiedMs = new Map<string, number>()
  /** The broker that answers calls with refused keys. */
  readonly #shut: FakeBroker

  constructor(clock: Clock, controls: FakeControls, queue: ModelQueue) {
    this.#clock = clock
    this.#controls = controls
    this.#queue = queue
    this.#shut = new FakeBroker({ clock, brokerAccountId: 'refused' })
    this.#shut.isRevoked = true
    controls.onChange.add((userId) => {
      for (const { ref } of this.all)
        if (userId === null || ref.userId === userId) this.#followLink(ref)
    })
  }

  /** Adds a verified connection. */
  link(ref: ConnectionRef): void {
    this.#countLink(ref)
    const broker = this.#open(this.#nextNumber())
    this.#controls.link(ref, broker.accountId, this.#give(ref, broker))
    this.#note(ref, broker)
  }

  brokerOf(ref: ConnectionRef): FakeBroker {
    return this.#find(ref)!.broker
  }

  /** How often a connection was linked while it did not exist. */
  timesLinked(ref: ConnectionRef): number {
    return this.#timesLinked.get(keyOf(ref)) ?? 0
  }

  /** True if a connection does not exist, is being removed, or was ever removed. */
  wasRemoved(ref: ConnectionRef): boolean {
    const linked = this.#controls.linked(ref)
    return linked === null || linked.connection.leaving !== undefined || this.timesLinked(ref) > 1
  }

  /** True if a connection exists and is verified: its account may be traded and compared. */
  isVerified(ref: ConnectionRef): boolean {
    return this.#controls.standingOf(ref) === 'verified'
  }

  /**
   * Unfinished changes: good keys that are not verified yet, and removals that have not ended.
   * @param holdsQuarantined whether the connection has a quarantined order: a removal that cancels
   *   first waits until the order is resolved, or until the user leaves the orders open; workers
   *   raise an alarm in the meantime
   */
  pending(holdsQuarantined: (ref: ConnectionRef) => boolean): string[] {
    return this.all.flatMap(({ ref, broker }) => {
      const linked = this.#controls.linked(ref)
      if (linked === null) return []
      if (this.isVerified(ref)) {
        const sinceMs = this.#verifiedMs.get(keyOf(ref)) ?? -Infinity
        const isNew = this.#clock.now() < sinceMs + RESUMED_MS
        return isNew
          ? [`CON-05 ${ref.connectionId} has just been verified, and what waited for it goes on`]
          : []
      }
      const { connection, link } = linked
      if (connection.leaving !== undefined) {
        const state = this.#queue.stateOf(removalOf(ref, connection.revision))
        return state === 'failed' || state === null || holdsQuarantined(ref)
          ? []
          : [`MUL-07 ${ref.connectionId} is being removed, and never is`]
      }
      const holder = this.#controls.holders().get(`sandbox:${broker.accountId}`) ?? keyOf(ref)
      const keys = this.#keys.get(connection.sealed)
      const isGood = keys?.broker === broker && !keys.isRevoked && holder === keyOf(ref)
      const isSame = link === null || link.brokerAccountId === broker.accountId
      return isGood && isSame
        ? [`CON-05 the keys of ${ref.connectionId} are good, and are never verified`]
        : []
    })
  }

  // Commands of users
  // -----------------------------------------------------------------------------------------------

  /**
   * Links an account as the producer does. No order is sent before a check has logged in.
   * @param accountNumber default: a new account
   * @returns false: the connection exists, and belongs to another account or is being removed
   */
  async connect(ref: ConnectionRef, { accountNumber = this.#nextNumber() } = {}): Promise<boolean> {
    const known = this.#controls.linked(ref)
    if (known?.connection.leaving !== undefined) return false
    if (known !== null && (known.link?.brokerAccountId ?? accountNumber) !== accountNumber)
      return false
    if (known === null) this.#countLink(ref)
    const broker = this.#open(accountNumber)
    this.#note(ref, broker)
    await this.#put(ref, this.#give(ref, broker))
    return true
  }

  /**
   * Stores new keys for a connection; the old keys stay valid until they are revoked.
   * @returns false: no connection accepts them
   */
  async rotateKeys(ref: ConnectionRef, { to }: Readonly<{ to: NewKeys }>): Promise<boolean> {
    const known = this.#controls.linked(ref)
    if (known === null || known.connection.leaving !== undefined) return false
    const broker = to === 'other_account' ? this.#open(this.#nextNumber()) : this.brokerOf(ref)
    const sealed = this.#give(ref, broker)
    // Until a check has logged in, a connection belongs to the account of its keys.
    if (known.link === null) this.#note(ref, broker)
    if (to === 'revoked') this.revokeKeys(ref)
    await this.#put(ref, sealed)
    return true
  }

  /** Requests the removal of a connection. @returns false: the connection does not exist */
  async disconnect(ref: ConnectionRef, openOrders: 'cancel' | 'leave'): Promise<boolean> {
    const known = this.#controls.linked(ref)
    if (known === null) return false
    const { revision } = await this.#controls.connections.leave(known.connection, openOrders)
    this.#queue.add('connections', 'disconnect', { ...ref, openOrders }, removalOf(ref, revision))
    return true
  }

  // Keys at the broker
  // -----------------------------------------------------------------------------------------------

  /**
   * The broker refuses keys of a connection from now on: the latest keys, or the earlier ones. Open
   * streams stay open until they are cut.
   */
  revokeKeys(ref: ConnectionRef, which: 'latest' | 'earlier' = 'latest'): void {
    this.#revoke(ref, which, true)
  }

  /** The broker accepts the latest keys of a connection again. */
  restoreKeys(ref: ConnectionRef): void {
    this.#revoke(ref, 'latest', false)
  }

  /**
   * Makes the keys of every connection good: the broker accepts them, and they belong to its
   * account. If they did not, the user stores new keys. A connection that is being removed accepts
   * no new keys, so its user leaves the orders open instead.
   */
  mend(): void {
    for (const { ref, broker } of this.all) {
      const record = this.#controls.linked(ref)?.connection
      const keys = this.#keys.get(record?.sealed ?? '')
      if (keys?.broker === broker) keys.isRevoked = false
      else if (record?.leaving !== undefined) void this.disconnect(ref, 'leave')
      else if (record !== undefined) void this.rotateKeys(ref, { to: 'good' })
    }
  }

  // Calls of processes
  // -----------------------------------------------------------------------------------------------

  readonly vault: Vault = {
    seal: async () => 'sealed',
    open: async (_ref, sealed) => ({
      credentials: { keyId: `${sealed} ${SECRET}`, secretKey: SECRET },
      stale: false,
    }),
  }

  /**
   * The account that the broker shows for these credentials.
   * @param onCall is called before each call
   */
  reach(
    credentials: BrokerCredentials,
    onCall: (method: string, args: readonly unknown[]) => void,
  ): Broker {
    const keys = this.#keys.get(
      'keyId' in credentials ? (credentials.keyId.split(' ')[0] ?? '') : '',
    )
    if (keys === undefined) throw new Error('nobody was given these credentials')
    const { broker } = keys
    const isRefused = (): boolean => keys.isRevoked && !broker.isDown
    const streams: Pick<Broker, 'openTradeStream'> = {
      openTradeStream: (listener) => broker.streams.open(listener, isRefused),
    }
    return new Proxy<Broker>(broker, {
      get: (_broker, method) => {
        const at = Reflect.has(streams, method) ? streams : isRefused() ? this.#shut : broker
        const call = Reflect.get(at, method, at) as (...args: unknown[]) => unknown
        return (...args: unknown[]): unknown => {
          onCall(String(method), args)
          return call.apply(at, args)
        }
      },
    })
  }

  #countLink(ref: ConnectionRef): void {
    this.#timesLinked.set(keyOf(ref), this.timesLinked(ref) + 1)
  }

  #find({ userId, connectionId }: ConnectionRef): Account | undefined {
    return this.all.find(({ ref }) => ref.userId === userId && ref.connectionId === connectionId)
  }

  #nextNumber(): string {
    return `account-${this.#brokers.size + 1}`
  }

  #open(number: string): FakeBroker {
    const broker =
      this.#brokers.get(number) ?? new FakeBroker({ clock: this.#clock, brokerAccountId: number })
    this.#brokers.set(number, broker)
    return broker
  }

  /** Makes keys of an account, and seals them. */
  #give(ref: ConnectionRef, broker: FakeBroker): string {
    const id = `sealed-${this.#keys.size + 1}`
    const keys = { broker, isRevoked: false }
    this.#keys.set(id, keys)
    this.#given.set(keyOf(ref), [...(this.#given.get(keyOf(ref)) ?? []), keys])
    return id
  }

  #note({ userId, connectionId }: ConnectionRef, broker: FakeBroker): void {
    const known = this.#find({ userId, connectionId })
    if (known === undefined) this.all.push({ ref: { userId, connectionId }, broker })
    else this.all.splice(this.all.indexOf(known), 1, { ...known, broker })
  }

  /** Updates the account of a connection after a check. */
  #followLink(ref: ConnectionRef): void {
    if (!this.isVerified(ref)) this.#verifiedMs.delete(keyOf(ref))
    else if (!this.#verifiedMs.has(keyOf(ref))) this.#verifiedMs.set(keyOf(ref), this.#clock.now())
    const broker = this.#brokers.get(this.#controls.linked(ref)?.link?.brokerAccountId ?? '')
    if (broker !== undefined && broker !== this.brokerOf(ref)) this.#note(ref, broker)
  }

  async #put(ref: ConnectionRef, sealed: string): Promise<void> {
    const record = {
      ...ref,
      brokerType: 'alpaca',
      env: 'sandbox',
      sealed,
      connectedAt: '',
    } as const
    await this.#controls.connections.put(record)
  }

  #revoke(ref: ConnectionRef, which: 'latest' | 'earlier', isRevoked: boolean): void {
    const given = this.#given.get(keyOf(ref)) ?? []
    const latest = given.at(-1)
    for (const keys of given)
      if ((keys === latest) === (which === 'latest')) keys.isRevoked = isRevoked
  }
}

const removalOf = ({ userId, connectionId }: ConnectionRef, revision: string): string =>
  disconnectJobId(userId, connectionId, revision)

const keyOf = ({ userId, connectionId }: ConnectionRef): string => `${userId} ${connectionId}`
