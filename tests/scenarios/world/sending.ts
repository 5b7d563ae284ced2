import {
  type Exposure,
  headOf,
  isTerminal,
  type Leg,
  type Order,
  type OrderIntent,
  type OrderStatus,
  readClientOrderId,
} from '#domain'
import type { CommitResult, ConnectionRef, Fence, Halt } from '#store'
import type { OrderTicket, ReplaceTicket } from '../../../workers/broker/port.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Heard, PortCall, Process } from './process.ts'
import { lowers, onlyShrinks } from './reducing.ts'

/** What lets a request leave that can open or enlarge a position. */
type Leaving = Extract<Fence, { kind: 'take' | 'change' }>
type CommitArguments = Parameters<FakeStore['commit']>

/**
 * What a claim, or the leave to change an order, lets the process send that heard of it: one
 * request. `claim` null: a change.
 */
type Leave = Readonly<{ claim: string | null; exposure: Exposure; globalHalt: Halt | null }>

/** Whom a halt is for: a connection, a user, or everybody. */
export type HaltTarget = Partial<ConnectionRef>

/** A halt, and what the store had lost when it was made. */
export type HaltMade = Readonly<{
  target: HaltTarget
  allows: Halt['allows']
  at: string
  losses: number
}>

/**
 * S3 and S17: what is claimed, and what is sent. Everything is judged by what the process had heard
 * when it decided: a claim that has been overtaken since, and a deadline that passes while the
 * request waits for its turn, are harmless by the client order id.
 */
export class SendingRules {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  readonly #leaves = new Map<string, Leave>()
  /** The true time, whatever the clocks of machines say. */
  readonly #nowMs: () => number
  /** Halts that nobody has ended, or made anew, since they were asked for. */
  readonly #standing = new Set<HaltMade>()
  readonly #complete = new Set<HaltMade>()
  #claims: { userId: string; fence: Leaving; before: Order | null }[] = []

  constructor(store: FakeStore, say: (finding: string) => void, nowMs: () => number) {
    this.#store = store
    this.#say = say
    this.#nowMs = nowMs
    // The halt of a connection goes with it.
    const isGone = ({ target: { userId, connectionId } }: HaltMade): boolean =>
      userId !== undefined &&
      connectionId !== undefined &&
      store.controls.linked({ userId, connectionId }) === null
    store.controls.onChange.add(() => this.#end(isGone))
  }

  asked(process: Process, { label, account, args }: PortCall): void {
    if (label === 'broker.submit') this.#sends(process, (args as [OrderTicket])[0].intent)
    if (label === 'broker.replace')
      this.#replaces(process, account ?? '', (args as [ReplaceTicket])[0])
  }

  calling({ label, args }: PortCall): void {
    if (label !== 'store.commit') return
    const [userId, { fence }] = args as CommitArguments
    if (!isLeaving(fence)) return
    this.#claims.push({ userId, fence, before: this.#store.orderOf(userId, fence.tradeId) })
  }

  heard(process: Process, { label, args }: PortCall, outcome: Heard): void {
    if (label !== 'store.commit' || !outcome.isDone) return
    const [userId, { fence }] = args as CommitArguments
    const result = outcome.value as CommitResult
    if (!isLeaving(fence) || result.kind !== 'committed') return
    const claim = fence.kind === 'take' ? `${result.version} ${fence.by}` : null
    const leave = { claim, exposure: fence.exposure, globalHalt: result.globalHalt }
    this.#leaves.set(keyOf(process, userId, fence.tradeId, fence.kind), leave)
  }

  get hasClaimed(): boolean {
    return this.#claims.length > 0
  }

  /** The claims that were made in this step, against what was in their slot before it. */
  async afterStep(): Promise<void> {
    const claims = this.#claims
    this.#claims = []
    for (const { userId, fence, before } of claims) {
      const order = this.#store.orderOf(userId, fence.tradeId)
      if (!this.#wasGiven(userId, fence, before, order)) continue // refused by the store
      if (before !== null && isTerminal(before.status))
        this.#say(`S3 ${before.id} is ${before.status}, and is claimed`)
      if (
        fence.kind === 'take' &&
        order?.closes === true &&
        !lowers(this.#store, { ...fence, userId }, order)
      )
        this.#say(
          `S20 ${fence.tradeId} is to close a position, and is claimed for more than is left of it`,
        )
      const isTrue = this.#isAsItSays(userId, fence, order)
      if (!isTrue)
        this.#say(
          `S17 ${fence.tradeId} says that it ${fence.exposure}, and by the records it does not`,
        )
      const { halts } = await this.#store.controls.read(userId)
      for (const halt of [halts.user, halts.byConnection.get(fence.connectionId) ?? null])
        if (halt !== null && !(isTrue && passes(halt.allows, fence.exposure)))
          this.#say(
            `S17 ${fence.tradeId} is ${fence.kind === 'take' ? 'claimed' : 'changed'} under the halt of its ${halt.scope}`,
          )
    }
  }

  #wasGiven(userId: string, fence: Leaving, before: Order | null, order: Order | null): boolean {
    if (fence.kind === 'take')
      return this.#store.claimOf(userId, fence.tradeId)?.endsWith(` ${fence.by}`) === true
    return (
      order?.replaces[0]?.sentAt != null && order.replaces[0].sentAt !== before?.replaces[0]?.sentAt
    )
  }

  /**
   * A halt is asked for. It takes the place of the one before it: from now on it says what passes.
   */
  halting(halt: HaltMade): void {
    this.ending(halt.target)
    this.#standing.add(halt)
  }

  /** Whoever asks for it: from now on the halt of exactly this target says nothing any more. */
  ending({ userId, connectionId }: HaltTarget): void {
    this.#end(({ target }) => target.userId === userId && target.connectionId === connectionId)
  }

  #end(isOver: (halt: HaltMade) => boolean): void {
    for (const halts of [this.#standing, this.#complete])
      for (const halt of [...halts].filter(isOver)) halts.delete(halt)
  }

  /**
   * `halt()` has said that every earlier claim has its outcome, or was set aside, or can have no
   * effect any more.
   */
  async completed(halt: HaltMade, refs: readonly ConnectionRef[]): Promise<void> {
    if (halt.losses !== this.#store.losses || !this.#standing.has(halt)) return
    for (const ref of refs.filter((one) => covers(halt.target, one))) {
      const { orders } = await this.#store.loadConnection(ref.userId, ref.connectionId)
      for (const order of orders) {
        const { id, status, claimedAt, setAsideAt = null } = order
        const replaces = order.replaces.filter(({ leg }) => !isReplacedNoMore(order, leg))
        const sentAt = [
          status === 'submitting' ? claimedAt : null,
          ...replaces.map((one) => one.sentAt),
        ]
        if (setAsideAt === null && sentAt.some((at) => at !== null && at < halt.at))
          this.#say(`S17 halt() is complete, and ${id} has no outcome`)
      }
    }
    if (this.#standing.has(halt)) this.#complete.add(halt)
  }

  #sends(process: Process, intent: OrderIntent): void {
    const { userId, tradeId, notAfter } = intent
    const leave = this.#useLeave(process, userId, tradeId, 'take')
    if (notAfter !== null && this.#nowMs() > Date.parse(notAfter))
      this.#say(`S3 ${tradeId} is past its deadline, and is sent`)
    if (leave === undefined) return this.#say(`S3 ${tradeId} is sent without a claim of its own`)
    if (leave.claim === this.#store.claimOf(userId, tradeId)) this.#judge(leave, tradeId, intent)
    else this.#judge(leave, tradeId, null)
  }

  #replaces(process: Process, account: string, { clientOrderId }: ReplaceTicket): void {
    const [userId = '', connectionId = ''] = account.split(' ')
    const { tradeId = '' } = readClientOrderId(clientOrderId, userId) ?? {}
    const leave = this.#useLeave(process, userId, tradeId, 'change')
    if (leave === undefined)
      return this.#say(`S3 a replacement of ${tradeId} is sent without leave of its own`)
    this.#judge(leave, tradeId, { userId, connectionId })
  }

  #useLeave(
    process: Process,
    userId: string,
    tradeId: string,
    kind: Leaving['kind'],
  ): Leave | undefined {
    const key = keyOf(process, userId, tradeId, kind)
    const leave = this.#leaves.get(key)
    this.#leaves.delete(key)
    return leave
  }

  /** @param ref whose halts it comes after, if it is still the latest request */
  #judge({ globalHalt, exposure }: Leave, tradeId: string, ref: ConnectionRef | null): void {
    if (globalHalt !== null && !passes(globalHalt.allows, exposure))
      this.#say(`S17 ${tradeId} is sent, and its claim had read that everybody is halted`)
    const isOver = ({ target, allows, losses }: HaltMade): boolean =>
      ref !== null &&
      covers(target, ref) &&
      losses === this.#store.losses &&
      !passes(allows, exposure)
    if ([...this.#complete].some(isOver))
      this.#say(`S17 ${tradeId} is sent after a halt that was complete`)
  }

  /**
   * Whether an order does to the position what it says. Exits are not looked at: their entry is
   * what may add.
   */
  #isAsItSays(
    userId: string,
    { connectionId, exposure, kind }: Leaving,
    order: Order | null,
  ): boolean {
    if (exposure === 'adds' || (kind === 'change' && order?.replaces[0]?.leg !== 'entry'))
      return true
    if (order === null) return false
    return exposure === 'shrinks'
      ? onlyShrinks(order)
      : lowers(this.#store, { userId, connectionId }, order)
  }
}

/**
 * Endings after which a broker replaces an order no more; one that is canceled may be one half of
 * its replacement (CAN-07).
 */
const FOR_GOOD: ReadonlySet<OrderStatus> = new Set(['filled', 'expired', 'rejected'])

/**
 * The order is over, and so is what a replacement of the leg is aimed at: whatever the broker says
 * to it, nothing comes of it.
 */
const isReplacedNoMore = (order: Order, leg: Leg): boolean =>
  order.endedAt !== null && FOR_GOOD.has(headOf(order, leg)?.status ?? 'submitting')

/** Whether a halt lets a request through that does this to the position. */
const passes = (allows: Halt['allows'], exposure: Exposure): boolean =>
  exposure === 'shrinks' || (allows === 'reducing' && exposure === 'reduces')

const isLeaving = (fence: Fence): fence is Leaving =>
  (fence.kind === 'take' || fence.kind === 'change') && fence.budget

const keyOf = (process: Process, userId: string, tradeId: string, kind: Leaving['kind']): string =>
  `${process.name} ${userId} ${tradeId} ${kind}`

const covers = (target: HaltTarget, { userId, connectionId }: ConnectionRef): boolean =>
  (target.userId ?? userId) === userId && (target.connectionId ?? connectionId) === connectionId
