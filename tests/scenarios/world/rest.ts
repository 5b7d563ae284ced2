import type { LoggedEvent } from '#contract'
import { isQuarantined, hasPendingWork, stopAmong } from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Accounts } from './accounts.ts'
import { findUnsettled } from './invariants.ts'
import { heldByNobody, mistoldHealth } from './links.ts'
import type { CompletedJob, ModelQueue } from './queue.ts'
import type { Relays } from './relays.ts'

/** Clocks of those who ask for orders and for commands may differ by so much. */
const SKEW_MS = 2_000

type Resting = Readonly<{
  store: FakeStore
  relay: Relays
  accounts: Accounts
  queue: ModelQueue
  warnings: readonly string[]
}>

/**
 * What holds of a world at rest: everything has come to its end, nothing more is told, and repeats
 * change nothing.
 */
export class Rest {
  readonly #world: Resting

  constructor(world: Resting) {
    this.#world = world
  }

  /**
   * The C rules, of connections that are there and may be used; and what holds of connections at
   * rest.
   */
  async findUnsettled(): Promise<string[]> {
    const { store, relay, accounts, warnings } = this.#world
    const findings = relay.findUnsettled()
    for (const account of accounts.all) {
      const isUp = accounts.isVerified(account.ref)
      if (isUp) findings.push(...(await findUnsettled({ ...account, store, warnings })))
      findings.push(
        ...mistoldHealth(
          store.log(account.ref.userId),
          account.ref,
          isUp,
          accounts.timesLinked(account.ref),
        ),
      )
    }
    return [
      ...findings,
      ...heldByNobody(store),
      ...accounts.pending((ref) => this.#holdsQuarantined(ref)),
    ]
  }

  #holdsQuarantined({ userId, connectionId }: ConnectionRef): boolean {
    const { orders } = this.#world.store.snapshot(userId)
    return orders.some(
      (order) =>
        order.connectionId === connectionId &&
        order.status === 'submitting' &&
        isQuarantined(order),
    )
  }

  /**
   * Whether a job of a connection that may be used is to run again (a trade that nobody has claimed
   * yet leaves no other trace), something is due on an order whose job is gone, or the next reading
   * of an account is to show the stop of a position.
   */
  isWaiting(): boolean {
    const { queue, accounts } = this.#world
    const isJobOpen = queue
      .open()
      .some(
        ({ queue: name, data }) =>
          name !== 'connections' && accounts.isVerified(data as ConnectionRef),
      )
    const awaits = (ref: ConnectionRef): boolean => this.#awaitsWork(ref) || this.#awaitsStop(ref)
    return isJobOpen || accounts.all.some(({ ref }) => accounts.isVerified(ref) && awaits(ref))
  }

  /**
   * The owner of the connection has it done within a few looks. After the store lost writes, no C
   * rule tells of a size that is wrong.
   */
  #awaitsWork({ userId, connectionId }: ConnectionRef): boolean {
    const { orders } = this.#world.store.snapshot(userId)
    return orders.some((order) => order.connectionId === connectionId && hasPendingWork(order))
  }

  /**
   * Where the order whose stop was shown has ended, the next reading of the account shows the stop
   * of another order.
   */
  #awaitsStop({ userId, connectionId }: ConnectionRef): boolean {
    const { orders, positions } = this.#world.store.snapshot(userId)
    return positions.some(
      (position) =>
        position.connectionId === connectionId &&
        position.stopLossFrom === null &&
        stopAmong(orders, position) !== null,
    )
  }

  /** How long the log of each user is. */
  lengths(): ReadonlyMap<string, number> {
    const { accounts, store } = this.#world
    return new Map(accounts.all.map(({ ref: { userId } }) => [userId, store.log(userId).length]))
  }

  /** What was told since the logs had these lengths; nothing should have been. */
  newsSince(lengths: ReadonlyMap<string, number>, what: string): string[] {
    return [...lengths].flatMap(([userId, length]) =>
      this.#world.store
        .log(userId)
        .slice(length)
        .filter((entry) => this.#isAtRest(userId, entry))
        .map((entry) => `${what}: ${userId} ${JSON.stringify(entry)}`),
    )
  }

  /** Jobs that change nothing when they run again. */
  repeatable(): CompletedJob[] {
    return this.#world.queue.completed().filter((job) => !this.#isDue(job))
  }

  /**
   * A cancel of all orders, or a close of all positions, has something left to do: what had been
   * asked for before it came to the workers, or to the books, only after it had run. A repeat would
   * take that too, as it was meant to.
   */
  #isDue({ name, data, addedMs }: CompletedJob): boolean {
    if (name !== 'cancelAll' && name !== 'closeAllPositions') return false
    const { userId, connectionId } = data as ConnectionRef
    const { orders, positions } = this.#world.store.snapshot(userId)
    const times =
      name === 'cancelAll'
        ? orders.map((order) => ({ connectionId: order.connectionId, at: order.askedAt ?? '' }))
        : positions.map((position) => ({
            connectionId: position.connectionId,
            at: position.openedAt,
          }))
    return times.some(
      (one) => one.connectionId === connectionId && Date.parse(one.at) <= addedMs + SKEW_MS,
    )
  }

  /** What waits for the keys of a connection may end at any time. */
  #isAtRest(userId: string, { payload }: Pick<LoggedEvent, 'payload'>): boolean {
    const connectionId = 'brokerConnectionId' in payload ? payload.brokerConnectionId : null
    return (
      typeof connectionId !== 'string' || this.#world.accounts.isVerified({ userId, connectionId })
    )
  }
}
