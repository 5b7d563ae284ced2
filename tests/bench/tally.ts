/**
 * The orders that were sent, and their events on the streams. Invariants: an order expects its
 * events once it was answered with 200; an event counts for an order only on the stream of the
 * order's own account, and once. Grows with the orders sent, which are bounded.
 */
const EXPECTED_EVENTS = ['new', 'fill'] as const

type Sent = {
  readonly account: number
  readonly sentAtMs: number
  readonly heard: Set<string>
  isAnswered: boolean
}
type Figures = Readonly<{
  sent: number
  answered: number
  expected: number
  received: number
  lost: number
}>

export class Tally {
  /** From sending the request to its `fill` on the stream, in the order of the fills. */
  readonly latenciesMs: number[] = []
  repeated = 0
  /** Events that no stream should have had: of another account, or another name. */
  stray = 0
  readonly #orders = new Map<string, Sent>()

  sent(clientOrderId: string, account: number, sentAtMs: number): void {
    this.#orders.set(clientOrderId, { account, sentAtMs, heard: new Set(), isAnswered: false })
  }

  answered(clientOrderId: string): void {
    const order = this.#orders.get(clientOrderId)
    if (order !== undefined) order.isAnswered = true
  }

  /** Counts one event that the stream of `account` had. */
  heard(account: number, event: string, clientOrderId: string, nowMs: number): void {
    const order = this.#orders.get(clientOrderId)
    if (order?.account !== account || !EXPECTED_EVENTS.some((expected) => expected === event))
      this.stray += 1
    else if (order.heard.has(event)) this.repeated += 1
    else {
      order.heard.add(event)
      if (event === 'fill') this.latenciesMs.push(nowMs - order.sentAtMs)
    }
  }

  figures(): Figures {
    const answered = [...this.#orders.values()].filter(({ isAnswered }) => isAnswered)
    const expected = answered.length * EXPECTED_EVENTS.length
    const received = answered.reduce((total, { heard }) => total + heard.size, 0)
    return {
      sent: this.#orders.size,
      answered: answered.length,
      expected,
      received,
      lost: expected - received,
    }
  }
}
