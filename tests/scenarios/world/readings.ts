import { add, type BrokerSnapshot, type Decimal, type Order, sideOf, sub, ZERO } from '#domain'
import type { Commit } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Heard, PortCall, Process } from './process.ts'

/** The last reading of an account that a process got. Complete: its activities were read too. */
type Reading = Readonly<{ snapshot: BrokerSnapshot; isComplete: boolean }>

/** Cash or a position changes to `to`. `quantity`: before, of a position; `shown`: in a reading. */
type Move = Readonly<{
  connectionId: string
  what: string
  to: Decimal
  quantity: Decimal | null
  shown: (snapshot: BrokerSnapshot) => string
}>

/**
 * S13: no position and no balance changes because of a missing answer. Two causes are allowed:
 * - an execution, written together with its order: the position changes by its quantity
 * - a complete reading of the account: positions and cash become those of the reading
 */
export class ReadingRules {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  readonly #readings = new Map<string, Reading>()

  constructor(store: FakeStore, say: (finding: string) => void) {
    this.#store = store
    this.#say = say
  }

  heard({ name }: Process, { label, account }: PortCall, outcome: Heard): void {
    if (label !== 'broker.readPortfolio' && label !== 'broker.listActivities') return
    const key = `${name} ${account}`
    const known = this.#readings.get(key)
    if (!outcome.isDone) this.#readings.delete(key)
    else if (label === 'broker.readPortfolio')
      this.#readings.set(key, { snapshot: outcome.value as BrokerSnapshot, isComplete: false })
    else if (known !== undefined) this.#readings.set(key, { ...known, isComplete: true })
  }

  calling({ name }: Process, { label, args }: PortCall): void {
    if (label !== 'store.commit') return
    const [userId, commit] = args as Parameters<FakeStore['commit']>
    if (this.#store.versionOf(userId) !== commit.expectVersion) return // the store refuses it
    const orders = commit.writes.flatMap((write) => (write.kind === 'order' ? [write.order] : []))
    // A bust of an execution of an earlier day changes an archived order.
    const known = (order: Order): Order | null => this.#store.orderEverOf(userId, order.id)
    const isBooked = orders.some((order) => booked(order) !== booked(known(order)))
    const executed = orders.reduce(
      (total, order) => add(total, sub(executedOf(order), executedOf(known(order)))),
      ZERO,
    )
    for (const { connectionId, what, to, quantity, shown } of this.#moves(userId, commit)) {
      const reading = this.#readings.get(`${name} ${userId} ${connectionId}`)
      if (orders.length > 0) {
        if (!isBooked)
          this.#say(`S13 ${what} becomes ${to} with an order of which nothing is booked`)
        else if (quantity !== null && sub(to, quantity) !== executed)
          this.#say(
            `S13 ${what} becomes ${to} from ${quantity} with an order that executed ${executed}`,
          )
      } else if (reading?.isComplete !== true)
        this.#say(`S13 ${what} becomes ${to}, and no complete reading shows it`)
      else if (Number(shown(reading.snapshot)) !== Number(to))
        this.#say(`S13 ${what} becomes ${to}, and the reading shows ${shown(reading.snapshot)}`)
    }
  }

  /** The quantities and the cash that a commit changes. */
  #moves(userId: string, { writes }: Commit): Move[] {
    return writes.flatMap((write): Move[] => {
      if (write.kind === 'account') {
        const { connectionId, cash: to } = write.account
        const isSame = this.#store.accountOf(userId, connectionId)?.cash === to
        const shown = ({ cash }: BrokerSnapshot): string => cash
        return isSame ? [] : [{ connectionId, what: 'cash', to, quantity: null, shown }]
      }
      if (write.kind !== 'position') return []
      const { connectionId, symbol, position } = write
      const to = position?.quantity ?? ZERO
      const quantity = this.#store.positionOf(userId, connectionId, symbol)?.quantity ?? ZERO
      const shown = ({ positions }: BrokerSnapshot): string =>
        positions.find((one) => one.symbol === symbol)?.quantity ?? '0'
      return quantity === to ? [] : [{ connectionId, what: symbol, to, quantity, shown }]
    })
  }
}

/** The booked executions of an order, as text. */
const booked = (order: Order | null): string =>
  JSON.stringify(
    order?.placements.map((one) => [
      one.brokerOrderId,
      one.cumulativeQuantity,
      one.totalCost,
      one.busted,
    ]),
  )

/** The change of the position by an order: bought less sold quantity. */
const executedOf = (order: Order | null): Decimal =>
  (order?.placements ?? []).reduce((total, { leg, cumulativeQuantity, busted }) => {
    const quantity = sub(cumulativeQuantity, busted?.quantity ?? ZERO)
    return order !== null && sideOf(order, leg) === 'buy'
      ? add(total, quantity)
      : sub(total, quantity)
  }, ZERO)
