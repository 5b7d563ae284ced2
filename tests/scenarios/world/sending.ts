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

/** The fences that permit a request: a claim (`take`), or permission for a change of an order. */
type Leaving = Extract<Fence, { kind: 'take' | 'change' }>
type CommitArguments = Parameters<FakeStore['commit']>

/** The permission of a process to send one request. `claim` null: the request changes an order. */
type Leave = Readonly<{ claim: string | null; exposure: Exposure; globalHalt: Halt | null }>

/** The target of a halt: a connection, a user, or all users. */
export type HaltTarget = Partial<ConnectionRef>

/** A halt, and the number of losses of the store when the halt was made. */
export type HaltMade = Readonly<{
  target: HaltTarget
  allows: Halt['allows']
  at: string
  losses: number
}>

/**
 * S3, S17 and S20: the rules about claims and requests. A request is judged by the knowledge of the
 * process at its decision. A claim may be superseded, or a deadline may pass, while the request
 * waits for its turn: both are harmless, because the client order id is the same.
 */
export class SendingRules {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  readonly #leaves = new Map<string, Leave>()
  /** The virtual time, independent of the clocks of machines. */
  readonly #nowMs: () => number
  /** Halts that were neither ended nor replaced since they were requested. */
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

  /** Checks the claims of this step against the records and halts of their slot. */
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

  /** A halt is requested: it replaces the earlier halt of the same target. */
  halting(halt: HaltMade): void {
    this.ending(halt.target)
    this.#standing.add(halt)
  }

  /** The end of a halt is requested: from now on the halt of exactly this target is not checked. */
  ending({ userId, connectionId }: HaltTarget): void {
    this.#end(({ target }) => target.userId === userId && target.connectionId === connectionId)
  }

  #end(isOver: (halt: HaltMade) => boolean): void {
    for (const halts of [this.#standing, this.#complete])
      for (const halt of [...halts].filter(isOver)) halts.delete(halt)
  }

  /**
   * `halt()` reported that it is complete: every earlier claim has its outcome, is quarantined, or
   * can have no effect any more.
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

  /** @param ref the connection whose halts are checked; null: a later claim superseded this one */
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

  /** True if the declared exposure of an order is true. Exits count as true: only entries add. */
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

/** The order has ended, and the target of a replacement of this leg too: it can have no effect. */
const isReplacedNoMore = (order: Order, leg: Leg): boolean =>
  order.endedAt !== null && FOR_GOOD.has(headOf(order, leg)?.status ?? 'submitting')

/** True if a halt permits a request with this exposure. */
const passes = (allows: Halt['allows'], exposure: Exposure): boolean =>
  exposure === 'shrinks' || (allows === 'reducing' && exposure === 'reduces')

const isLeaving = (fence: Fence): fence is Leaving =>
  (fence.kind === 'take' || fence.kind === 'change') && fence.budget

const keyOf = (process: Process, userId: string, tradeId: string, kind: Leaving['kind']): string =>
  `${process.name} ${userId} ${tradeId} ${kind}`

const covers = (target: HaltTarget, { userId, connectionId }: ConnectionRef): boolean =>
  (target.userId ?? userId) === userId && (target.connectionId ?? connectionId) === connectionId
