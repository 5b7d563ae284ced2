import type { Order } from '#domain'
import { boundaryNames } from '#runtime'
import type { ConnectionRef } from '#store'
import type { Heard, PortCall, Process } from '../scenarios/world/process.ts'
import type { Observer, World } from '../scenarios/world.ts'
import type { FakeStore } from '../support/fake-store.ts'

/** A call of a port on its way out, by the names of the port and of the call. */
const PORT_CALL = /^[a-z]+\.[a-zA-Z]+$/
const isBoundary = (label: string): boolean => boundaryNames.some((name) => name === label)

/** The situations of a run, by name, with their counts. */
export class Happenings implements Observer {
  readonly #counts = new Map<string, number>()
  #store: FakeStore | null = null

  follow({ store }: World): void {
    this.#store = store
  }

  count(name: string, times = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + times)
  }

  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }

  /** Adds the counts of the world itself at the end of the run. */
  takeFrom(world: World, accounts: readonly ConnectionRef[]): void {
    for (const [label, times] of world.steps) {
      if (isBoundary(label)) this.count(`boundary ${label}`, times)
      else if (PORT_CALL.test(label)) this.count(`call ${label}`, times)
    }
    for (const [what, times] of world.relay.met) this.count(`client ${what}`, times)
    for (const [fault, times] of world.faults.met) this.count(`fault ${fault}`, times)
    for (const ref of accounts)
      for (const [fault, times] of world.brokerOf(ref).faultsMet)
        this.count(`fault broker.${fault}`, times)
    for (const what of world.anomalies()) this.count(`anomaly ${what}`)
  }

  step(): void {}
  afterStep(): void {}
  asked(): void {}

  /** The changes of orders and the events of a successful commit. */
  calling(_process: Process, { label, args }: PortCall): null {
    const store = this.#store
    if (label !== 'store.commit' || store === null) return null
    const [userId, { expectVersion, writes, events }] = args as Parameters<FakeStore['commit']>
    if (store.versionOf(userId) !== expectVersion) return null
    for (const write of writes)
      if (write.kind === 'order')
        this.#countTransitions(store.orderOf(userId, write.order.id), write.order)
    for (const { event, payload } of events) {
      this.count(`event ${event}`)
      if (event === 'trade.rejected')
        this.count(`code ${String((payload as { code?: unknown }).code)}`)
    }
    return null
  }

  heard(_process: Process, _call: PortCall, _outcome: Heard): void {}

  #countTransitions(before: Order | null, after: Order): void {
    for (const { leg, replacement, status } of after.placements) {
      const old = before?.placements.find(
        (one) => one.leg === leg && one.replacement === replacement,
      )
      const from = old?.status ?? 'submitting'
      if (from !== status) this.count(`transition ${from} -> ${status}`)
    }
  }
}
