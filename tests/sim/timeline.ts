import type { BrokerOrder } from '#domain'
import type { CommitResult, ConnectionRef } from '#store'
import type { Heard, PortCall, Process, Watch } from '../scenarios/world/process.ts'
import type { FakeStore } from '../support/fake-store.ts'
import type { World } from '../scenarios/world.ts'

/** Steps that every worker takes all the time: polls, leases, clocks. */
const IDLE =
  /^(timer|stream live|poll\.|connections\.|links\.|leases\.|controls\.|epoch\.|registry\.|vault\.|budget\.|reader\.|recoveries\.|parked\.|redis\.|store\.(version|load|find)|broker\.(list|read)|start$|check )/

/** Longest text of one thing in a line. */
const TEXT_MAX = 160

/**
 * What happened in a run, in lines for people: deeds, jobs, boundaries, orders at the broker,
 * commits and the events they told, workers that came and went, and every call that failed. Idle
 * steps are left out.
 */
export class Timeline implements Watch {
  readonly #lines: string[] = []
  readonly #orders = new Map<string, string>()
  readonly #toldTo = new Map<string, string>()
  readonly #executions = new Map<string, number>()
  #staff = ''
  #world: World | null = null
  #accounts: readonly ConnectionRef[] = []
  #startMs = 0

  /** Of this world from now on. */
  follow(world: World, accounts: readonly ConnectionRef[], startMs: number): void {
    this.#world = world
    this.#accounts = accounts
    this.#startMs = startMs
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  deed(name: string): void {
    this.#say('deed', name)
  }

  asked(): void {}

  calling(process: Process, { label, account, args }: PortCall): null {
    if (label === 'broker.submit' || label === 'broker.replace' || label === 'broker.cancel')
      this.#say(process.name, `-> ${label} of ${account ?? ''} ${ticketOf(args[0])}`)
    return null
  }

  heard(process: Process, { label, args }: PortCall, outcome: Heard): void {
    if (!outcome.isDone)
      return this.#say(process.name, `<- ${label} failed: ${String(outcome.error)}`)
    if (/^broker\.(submit|replace|cancel)$/.test(label))
      return this.#say(process.name, `<- ${label} ${briefly(outcome.value)}`)
    if (label !== 'store.commit') return
    const { kind } = outcome.value as CommitResult
    const [userId, { fence, writes }] = args as Parameters<FakeStore['commit']>
    const what = writes.map((write) =>
      'order' in write ? `order ${write.order.id} ${write.order.status}` : write.kind,
    )
    this.#say(
      process.name,
      `commit ${userId} (${fence.kind}) ${kind}: ${[...new Set(what)].join(', ')}`,
    )
  }

  /** A step was taken. */
  step(owner: string, label: string): void {
    if (!IDLE.test(label) && !/ answered$|^(store|broker)\./.test(label)) this.#say(owner, label)
  }

  /** The effects of the step at the broker and in the logs. */
  afterStep(): void {
    const world = this.#world
    if (world === null) return
    const staff = world.workers.map(({ name, state }) => `${name} ${state}`).join(', ')
    if (staff !== this.#staff) this.#say('workers', staff)
    this.#staff = staff
    for (const ref of this.#accounts) this.#lookAtBroker(world, ref)
    for (const userId of new Set(this.#accounts.map((ref) => ref.userId))) {
      const last = this.#toldTo.get(userId) ?? ''
      for (const { id, event, payload } of world.store.log(userId)) {
        if (id <= last) continue
        this.#toldTo.set(userId, id)
        this.#say(userId, `${event} ${briefly(payload)}`)
      }
    }
  }

  #lookAtBroker(world: World, { userId, connectionId }: ConnectionRef): void {
    const name = `${userId} ${connectionId}`
    const broker = world.brokerOf({ userId, connectionId })
    for (const order of broker.orders.values()) {
      const sign = signOf(order)
      if (this.#orders.get(`${name} ${order.brokerOrderId}`) === sign) continue
      this.#orders.set(`${name} ${order.brokerOrderId}`, sign)
      this.#say('broker', `${name}: ${sign}`)
    }
    const known = this.#executions.get(name) ?? 0
    for (const { brokerOrderId, execution } of broker.executions.slice(known))
      this.#say(
        'broker',
        `${name}: ${brokerOrderId} executes ${execution.quantity} at ${execution.price}`,
      )
    this.#executions.set(name, broker.executions.length)
  }

  #say(who: string, what: string): void {
    const seconds = (((this.#world?.nowMs ?? this.#startMs) - this.#startMs) / 1_000).toFixed(3)
    this.#lines.push(`${seconds.padStart(9)}  ${who.padEnd(8)} ${what.slice(0, TEXT_MAX)}`)
  }
}

function signOf({
  brokerOrderId,
  clientOrderId,
  status,
  side,
  quantity,
  notional,
  symbol,
  ...order
}: BrokerOrder): string {
  const size = quantity ?? `${notional ?? '?'} USD`
  return `${brokerOrderId} (${clientOrderId}) ${side ?? '?'} ${size} ${symbol} ${order.orderType} is ${status}, filled ${order.filledQuantity}`
}

const briefly = (value: unknown): string => JSON.stringify(value)

/** The ids of an order ticket, a replacement or a cancel. */
function ticketOf(ticket: unknown): string {
  if (typeof ticket !== 'object' || ticket === null) return String(ticket)
  const { intent, clientOrderId, brokerOrderId, terms } = ticket as Record<string, unknown>
  return briefly({ clientOrderId, brokerOrderId, ...(intent ?? terms ?? {}) })
}
