import type { LoggedEvent } from '#contract'
import { isQuarantined, hasPendingWork, stopAmong } from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Accounts } from './accounts.ts'
import { findUnsettled } from './invariants.ts'
import { heldByNobody, mistoldHealth } from './links.ts'
import type { CompletedJob, ModelQueue } from './queue.ts'
import type { Relays } from './relays.ts'

/** The largest difference between the clocks of callers that queue orders and commands. */
const SKEW_MS = 2_000

type Resting = Readonly<{
  store: FakeStore
  relay: Relays
  accounts: Accounts
  queue: ModelQueue
  warnings: readonly string[]
}>

/** The rules of a world at quiescence: C rules hold, no event is sent, repeats change nothing. */
export class Rest {
  readonly #world: Resting

  constructor(world: Resting) {
    this.#world = world
  }

  /** The violations of the C rules for usable connections, and of the rules about connections. */
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
   * True if a usable connection still has work, which is one of:
   * - a job that will run again (an unclaimed trade leaves no other trace)
   * - pending work on an order whose job is gone
   * - a stop of a position that the next reading of the account will show
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
   * The owner of the connection finishes pending work within a few polls. This check is needed
   * because no C rule finds a wrong size after the store lost writes.
   */
  #awaitsWork({ userId, connectionId }: ConnectionRef): boolean {
    const { orders } = this.#world.store.snapshot(userId)
    return orders.some((order) => order.connectionId === connectionId && hasPendingWork(order))
  }

  /** If the order of the shown stop has ended, the next reading shows the stop of another order. */
  #awaitsStop({ userId, connectionId }: ConnectionRef): boolean {
    const { orders, positions } = this.#world.store.snapshot(userId)
    return positions.some(
      (position) =>
        position.connectionId === connectionId &&
        position.stopLossFrom === null &&
        stopAmong(orders, position) !== null,
    )
  }

  /** The length of the log of each user. */
  lengths(): ReadonlyMap<string, number> {
    const { accounts, store } = this.#world
    return new Map(accounts.all.map(({ ref: { userId } }) => [userId, store.log(userId).length]))
  }

  /** The events since the logs had these lengths; correct is none. */
  newsSince(lengths: ReadonlyMap<string, number>, what: string): string[] {
    return [...lengths].flatMap(([userId, length]) =>
      this.#world.store
        .log(userId)
        .slice(length)
        .filter((entry) => this.#isAtRest(userId, entry))
        .map((entry) => `${what}: ${userId} ${JSON.stringify(entry)}`),
    )
  }

  /** Jobs that must change nothing when they run again. */
  repeatable(): CompletedJob[] {
    return this.#world.queue.completed().filter((job) => !this.#isDue(job))
  }

  /**
   * True if a repeat of a cancel-all or close-all job has work left. An order requested before the
   * job may reach the workers only after the job has run, or a position the books. A repeat
   * correctly includes this order or position.
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

  /** Events of unverified connections are allowed: work that waits for keys may end at any time. */
  #isAtRest(userId: string, { payload }: Pick<LoggedEvent, 'payload'>): boolean {
    const connectionId = 'brokerConnectionId' in payload ? payload.brokerConnectionId : null
    return (
      typeof connectionId !== 'string' || this.#world.accounts.isVerified({ userId, connectionId })
    )
  }
}
