import { type Exposure, isTerminal, type Order, type OrderIntent } from '#domain'
import type { CommitResult, ConnectionRef, Fence, Halt } from '#store'
import type { OrderTicket } from '../../../workers/broker/index.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Heard, PortCall, Process } from './process.ts'

type Take = Extract<Fence, { kind: 'take' }>
type CommitArguments = Parameters<FakeStore['commit']>

/** What a claim lets the process send that heard of it: one request. */
type Leave = Readonly<{ claim: string; exposure: Exposure; globalHalt: Halt | null }>

/** Whom a halt is for: a connection, a user, or everybody. */
export type HaltTarget = Partial<ConnectionRef>

/** A halt, and what the store had lost when it was made. */
export type HaltMade = Readonly<{ target: HaltTarget; allows: Halt['allows']; at: string; losses: number }>

/**
 * S3 and S17: what is claimed, and what is sent. Everything is judged by what the process had heard when it decided: a claim that has
 * been overtaken since, and a deadline that passes while the request waits for its turn, are harmless by the client order id.
 */
export class SendingRules {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  readonly #leaves = new Map<string, Leave>()
  readonly #complete: HaltMade[] = []
  #claims: { userId: string; fence: Take; before: Order | null }[] = []

  constructor(store: FakeStore, say: (finding: string) => void) {
    this.#store = store
    this.#say = say
  }

  asked(process: Process, { label, args }: PortCall): void {
    if (label === 'broker.submit') this.#sends(process, (args as [OrderTicket])[0].intent)
  }

  calling({ label, args }: PortCall): void {
    if (label !== 'store.commit') return
    const [userId, { fence }] = args as CommitArguments
    if (fence.kind !== 'take' || !fence.budget) return
    this.#claims.push({ userId, fence, before: this.#store.orderOf(userId, fence.tradeId) })
  }

  heard(process: Process, { label, args }: PortCall, outcome: Heard): void {
    if (label !== 'store.commit' || !outcome.isDone) return
    const [userId, { fence }] = args as CommitArguments
    const result = outcome.value as CommitResult
    if (fence.kind !== 'take' || !fence.budget || result.kind !== 'committed') return
    const { exposure, by } = fence
    const leave = { claim: `${result.version} ${by}`, exposure, globalHalt: result.globalHalt }
    this.#leaves.set(keyOf(process, userId, fence.tradeId), leave)
  }

  /** The claims that were made in this step, against what was in their slot before it. */
  async afterStep(): Promise<void> {
    const claims = this.#claims
    this.#claims = []
    for (const { userId, fence, before } of claims) {
      if (this.#store.claimOf(userId, fence.tradeId)?.endsWith(` ${fence.by}`) !== true) continue // refused by the store
      if (before !== null && isTerminal(before.status)) this.#say(`S3 ${before.id} is ${before.status}, and is claimed`)
      const { halts } = await this.#store.controls.read(userId)
      for (const halt of [halts.user, halts.byConnection.get(fence.connectionId) ?? null])
        if (halt !== null && !this.#passes(halt, userId, fence))
          this.#say(`S17 ${fence.tradeId} is claimed under the halt of its ${halt.scope}`)
    }
  }

  /** `halt()` has said that every earlier claim has its outcome, or was set aside. */
  async completed(halt: HaltMade, refs: readonly ConnectionRef[]): Promise<void> {
    if (halt.losses !== this.#store.losses) return
    for (const ref of refs.filter((one) => covers(halt.target, one))) {
      const { orders } = await this.#store.loadConnection(ref.userId, ref.connectionId)
      for (const { id, status, claimedAt, setAsideAt = null } of orders)
        if (status === 'submitting' && setAsideAt === null && claimedAt !== null && claimedAt < halt.at)
          this.#say(`S17 halt() is complete, and ${id} has no outcome`)
    }
    this.#complete.push(halt)
  }

  resumed(): void {
    this.#complete.length = 0
  }

  #sends(process: Process, intent: OrderIntent): void {
    const { userId, tradeId, notAfter } = intent
    const key = keyOf(process, userId, tradeId)
    const leave = this.#leaves.get(key)
    this.#leaves.delete(key)
    if (notAfter !== null && process.clock.now() > Date.parse(notAfter))
      this.#say(`S3 ${tradeId} is past its deadline, and is sent`)
    if (leave === undefined) return this.#say(`S3 ${tradeId} is sent without a claim of its own`)
    const { globalHalt, exposure, claim } = leave
    if (globalHalt !== null && !(globalHalt.allows === 'reducing' && exposure === 'reduces'))
      this.#say(`S17 ${tradeId} is sent, and its claim had read that everybody is halted`)
    if (claim !== this.#store.claimOf(userId, tradeId)) return
    const isOver = ({ target, allows, losses }: HaltMade): boolean =>
      covers(target, intent) && losses === this.#store.losses && !(allows === 'reducing' && exposure === 'reduces')
    if (this.#complete.some(isOver)) this.#say(`S17 ${tradeId} is sent after a halt that was complete`)
  }

  /** Whether a halt lets an order through: it says that it only reduces what is open, and by the record it does. */
  #passes({ allows }: Halt, userId: string, { tradeId, connectionId, exposure }: Take): boolean {
    if (allows !== 'reducing' || exposure !== 'reduces') return false
    const order = this.#store.orderOf(userId, tradeId)
    if (order === null) return false
    const held = Number(this.#store.positionOf(userId, connectionId, order.symbol)?.quantity ?? 0)
    const change = Number(order.quantity ?? Infinity) * (order.side === 'buy' ? 1 : -1)
    return Math.sign(held) === -Math.sign(change) && Math.abs(change) <= Math.abs(held)
  }
}

const keyOf = (process: Process, userId: string, tradeId: string): string => `${process.name} ${userId} ${tradeId}`

const covers = (target: HaltTarget, { userId, connectionId }: ConnectionRef): boolean =>
  (target.userId ?? userId) === userId && (target.connectionId ?? connectionId) === connectionId
