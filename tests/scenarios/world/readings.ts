import { add, type BrokerSnapshot, type Decimal, type Order, sideOf, sub, ZERO } from '#domain'
import type { Commit } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Heard, PortCall, Process } from './process.ts'

/** The last reading of an account that a process has heard of; complete with its activities. */
type Reading = Readonly<{ snapshot: BrokerSnapshot; isComplete: boolean }>

/** What becomes `to`; `quantity`: of a holding, before. `shown`: what a reading has it to be. */
type Move = Readonly<{
  connectionId: string
  what: string
  to: Decimal
  quantity: Decimal | null
  shown: (snapshot: BrokerSnapshot) => string
}>

/**
 * S13: no position and no balance changes for want of an answer. What changes them is an execution,
 * written with the order of which it is booked, and then a holding changes by as much; or a reading
 * of the account that was heard to its end, and then they become what it showed.
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
    if (this.#store.versionOf(userId) !== commit.expectVersion) return // nothing comes of it
    const orders = commit.writes.flatMap((write) => (write.kind === 'order' ? [write.order] : []))
    // What the venue takes back of an earlier day changes an order that is in the archive.
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

/** What of an order is in the books. */
const booked = (order: Order | null): string =>
  JSON.stringify(
    order?.placements.map((one) => [
      one.brokerOrderId,
      one.cumulativeQuantity,
      one.totalCost,
      one.busted,
    ]),
  )

/** What an order has put into the holding: what it bought, less what it sold. */
const executedOf = (order: Order | null): Decimal =>
  (order?.placements ?? []).reduce((total, { leg, cumulativeQuantity, busted }) => {
    const quantity = sub(cumulativeQuantity, busted?.quantity ?? ZERO)
    return order !== null && sideOf(order, leg) === 'buy'
      ? add(total, quantity)
      : sub(total, quantity)
  }, ZERO)
