import { add, type BrokerOrder, type Order, ZERO } from '#domain'
import type { CommitResult, ConnectionRef } from '#store'
import { BrokerError, type SubmitOutcome } from '../../../workers/broker/port.ts'
import { sessionOn } from '../../support/broker/sessions.ts'
import { markOf, type Stake } from './stake.ts'
import { type TradeInBooks, tradesInBooks } from './ledger.ts'
import { toldOf } from './log-checks.ts'
import type { Heard, PortCall, Process } from './process.ts'
import { inJob } from './schedule.ts'

/**
 * C8, by the virtual clock: executions that the stream did not report are in the log in time, and
 * the outcome of every submission is found in time. The bounds are those of P7 and SUB-05, repeated
 * here independently of the code. They count from the end of the last disturbance; this table has
 * the longest duration of each kind of disturbance.
 */
export const OVER_AFTER_MS = {
  /** A call failed: it is repeated at the next turn. */
  call: 0,
  /** The broker was down: calls wait for a successful trial, and the stream is opened again. */
  away: 20_000,
  /** A write failed: its records are read again. */
  store: 6_000,
  /**
   * A worker died, froze or started: its lease and its job locks expire, and the next owner waits a
   * moment for its stream.
   */
  worker: 20_000,
  /**
   * The store lost writes, or credentials were refused: unusable connections are tried again after
   * half a minute.
   */
  loss: 60_000,
} as const

/** P7: the bound of a market order, including the time of a reading. */
const IN_FLIGHT_MS = 5_000
/** P7: the bound of all other orders. */
const RESTING_MS = 15_000
/** An unknown order that is at the broker is looked up by its id at least this often. */
const FOUND_MS = 35_000
/**
 * The absence of an unknown order is proved at the first look-up that is a quarter of an hour after
 * the last request.
 */
const ABSENT_MS = 17 * 60_000

/** The pauses of a worker while its broker is down, repeated here independently of the code. */
const SILENCES_MAX = 5
const PAUSE_MS_MIN = 2_000
const PAUSE_MS_MAX = 30_000

export class DetectionBounds {
  readonly #say: (finding: string) => void
  /** The bounds count from this time on; `Infinity` while a worker is frozen. */
  #calmFromMs = -Infinity
  /** The findings of the last look at each connection, valid while its mark is the same. */
  readonly #last = new Map<ConnectionRef, Readonly<{ mark: string; waiting: readonly Waiting[] }>>()

  /** Since when each connection has its present verified keys; `null`: it has none now. */
  readonly #usable = new Map<
    ConnectionRef,
    Readonly<{ revision: string; sinceMs: number }> | null
  >()

  /**
   * Unanswered calls of account owners, and since when. Later calls of the same owner wait behind
   * them.
   */
  readonly #hanging = new Map<PortCall, Readonly<{ process: Process; sinceMs: number }>>()
  /** `<user> <connection>` -> when such a call was answered late. */
  readonly #answeredMs = new Map<string, number>()

  /** `<process> <user> <connection>` -> the number of consecutive calls without an answer. */
  readonly #silences = new Map<string, number>()

  constructor(say: (finding: string) => void) {
    this.#say = say
  }

  asked(nowMs: number, process: Process, call: PortCall): void {
    if (call.account !== null && inJob.getStore() === undefined)
      this.#hanging.set(call, { process, sinceMs: nowMs })
  }

  disturbed(nowMs: number, kind: keyof typeof OVER_AFTER_MS): void {
    this.#calmFromMs = Math.max(this.#calmFromMs, nowMs + OVER_AFTER_MS[kind])
  }

  heard(nowMs: number, process: Process, call: PortCall, outcome: Heard): void {
    const { label, account } = call
    if (account !== null && isOfTrading(label))
      this.#noteSilence(nowMs, `${process.name} ${account}`, outcome)
    const isLate = nowMs > (this.#hanging.get(call)?.sinceMs ?? nowMs)
    if (isLate && account !== null) this.#answeredMs.set(account, nowMs)
    this.#hanging.delete(call)
    if (outcome.isDone && isHeldBack(label, outcome.value)) this.disturbed(nowMs, 'call')
    if (outcome.isDone) return
    const { error } = outcome
    const isLocked = error instanceof BrokerError && error.code === 'CREDENTIALS'
    this.disturbed(nowMs, isLocked ? 'loss' : label.startsWith('broker.') ? 'call' : 'store')
  }

  /**
   * After `SILENCES_MAX` consecutive calls without an answer, calls wait for a pause. The pause
   * doubles after each failed trial.
   */
  #noteSilence(nowMs: number, key: string, outcome: Heard): void {
    if (!isSilence(outcome)) return void this.#silences.delete(key)
    const silences = (this.#silences.get(key) ?? 0) + 1
    this.#silences.set(key, silences)
    if (silences < SILENCES_MAX) return
    const pauseMs = Math.min(PAUSE_MS_MIN * 2 ** (silences - SILENCES_MAX), PAUSE_MS_MAX)
    this.#calmFromMs = Math.max(this.#calmFromMs, nowMs + pauseMs)
  }

  /** True if the bounds count now and a finding may be open: an earlier one, or after a change. */
  isOpen(nowMs: number, stake: Stake): boolean {
    const { ref, broker, store } = stake
    this.#noteKeys(nowMs, ref, store)
    // Calls that wait do not fail, so no failed call would report this disturbance.
    if (broker.isDown) this.disturbed(nowMs, 'away')
    const last = this.#last.get(ref)
    if (last?.waiting.length === 0 && last.mark === markOf(stake)) return false
    if (broker.visibleAfterMs > 0 || !isSession(nowMs)) return false
    return store.accountOf(ref.userId, ref.connectionId) !== null && this.#usable.get(ref) != null
  }

  #noteKeys(nowMs: number, ref: ConnectionRef, { controls }: Stake['store']): void {
    const linked = controls.linked(ref)
    const revision = linked?.connection.revision
    if (revision === undefined || linked?.link?.verified !== revision)
      return void this.#usable.set(ref, null)
    const known = this.#usable.get(ref)
    // A world begins with connections that were verified before.
    if (known?.revision !== revision)
      this.#usable.set(ref, { revision, sinceMs: known === undefined ? -Infinity : nowMs })
  }

  /** Called after each advance of the time, before any step. */
  async look(nowMs: number, stake: Stake): Promise<void> {
    // A worker tries an unusable connection again after half a minute, as after a loss.
    const usableMs = (this.#usable.get(stake.ref)?.sinceMs ?? nowMs) + OVER_AFTER_MS.loss
    const openMs = sessionAt(nowMs).openMs
    const account = `${stake.ref.userId} ${stake.ref.connectionId}`
    if (this.#hangs(nowMs, account)) return
    const answeredMs = this.#answeredMs.get(account) ?? -Infinity
    for (const { what, sinceMs, withinMs, isForSession } of await this.#waitingOf(stake)) {
      const fromMs = isForSession ? Math.max(sinceMs, openMs) : sinceMs
      if (nowMs > Math.max(fromMs, this.#calmFromMs, usableMs, answeredMs) + withinMs)
        this.#say(`C8 ${what} for more than ${withinMs} ms`)
    }
  }

  #hangs(nowMs: number, account: string): boolean {
    for (const [call, { process }] of this.#hanging)
      if (process.state === 'dead') this.#hanging.delete(call)
    return [...this.#hanging].some(
      ([call, { sinceMs }]) => call.account === account && sinceMs < nowMs,
    )
  }

  async #waitingOf(stake: Stake): Promise<readonly Waiting[]> {
    const { ref, broker, store } = stake
    const mark = markOf(stake)
    const last = this.#last.get(ref)
    if (last?.mark === mark) return last.waiting
    const books = tradesInBooks(broker, ref.userId)
    const waiting = [
      ...this.#untold(ref, store, broker, books),
      ...(await this.#unresolved(ref, store, books)),
    ]
    this.#last.set(ref, { mark, waiting })
    return waiting
  }

  /** Executions of our trades that no event has reported. */
  #untold(
    { userId }: ConnectionRef,
    store: Stake['store'],
    broker: Stake['broker'],
    books: Books,
  ): Waiting[] {
    const log = store.log(userId)
    const { trades } = toldOf(log)
    const resyncMs = Number(
      log.findLast(({ event }) => event === 'state.resync')?.id.slice(0, 13) ?? 0,
    )
    return [...books].flatMap(([tradeId, trade]) => {
      const told = trades.get(tradeId)
      if (told?.terminal != null || (told?.corrected ?? 0) > 0) return []
      // A foreign order under our id, with other terms than the requested ones: an alarm is raised,
      // and its executions are not booked.
      const record = store.orderOf(userId, tradeId)
      if (record?.status === 'submitting' && !trade.orders.some((one) => isOf(record, one)))
        return []
      const ids = new Set(trade.orders.map(({ brokerOrderId }) => brokerOrderId))
      // After a bust, earlier executions may never be sent one by one: the remaining total includes
      // them (FIL-12).
      if (broker.ledger.busts.some(({ brokerOrderId }) => ids.has(brokerOrderId))) return []
      let sum = ZERO
      for (const { brokerOrderId, execution } of broker.executions) {
        if (!ids.has(brokerOrderId)) continue
        const atMs = Date.parse(execution.at)
        sum = add(sum, execution.quantity)
        if (Number(sum) > (told?.cumulative ?? 0) && atMs > resyncMs) {
          const isMarketable = trade.orders[0]?.orderType === 'market'
          const what = `an execution of ${tradeId} is not in the log`
          const withinMs = isMarketable ? IN_FLIGHT_MS : RESTING_MS
          return [
            {
              what,
              sinceMs: atMs,
              withinMs,
              isForSession: record === null || !tradesAnyTime(record),
            },
          ]
        }
      }
      return []
    })
  }

  /** Submissions whose outcome is not known. */
  async #unresolved(
    { userId, connectionId }: ConnectionRef,
    store: Stake['store'],
    books: Books,
  ): Promise<Waiting[]> {
    const { orders } = await store.loadConnection(userId, connectionId)
    return orders.flatMap((order) => {
      const { id, status, endedAt, setAsideAt, claimedAt, attemptedAt, cancel } = order
      if (status !== 'submitting' || endedAt !== null || setAsideAt != null) return []
      const placed = books.get(id)?.orders.find((one) => isOf(order, one))
      if (books.has(id) && placed === undefined) return [] // foreign, under our id: alarmed
      // A cancel request lifts the quarantine and starts a new search (CRA-08).
      const marks = [claimedAt, attemptedAt, cancel?.requestedAt, placed?.submittedAt]
      const times = marks.flatMap((at) => (at == null ? [] : [Date.parse(at)]))
      const what =
        placed === undefined ? 'nowhere, and not closed' : 'at the broker, and not known to be'
      const withinMs = placed === undefined ? ABSENT_MS : FOUND_MS
      return [
        { what: `${id} is ${what}`, sinceMs: Math.max(...times), withinMs, isForSession: false },
      ]
    })
  }
}

type Books = ReadonlyMap<string, TradeInBooks>
type Waiting = Readonly<{
  what: string
  sinceMs: number
  withinMs: number
  /**
   * The bound does not count before the opening, because the list of open orders is then read only
   * once a minute.
   */
  isForSession: boolean
}>

/** True if the order may execute while the exchange is closed. */
const tradesAnyTime = ({ symbol, extendedHours }: Order): boolean =>
  extendedHours || symbol.includes('/')

const DEFINITIVE: ReadonlySet<SubmitOutcome['kind']> = new Set(['accepted', 'duplicate', 'refused'])
const HELD_BACK: ReadonlySet<CommitResult['kind']> = new Set(['over_budget', 'unusable'])

/**
 * True if a call is repeated after this answer: the budget is spent (for example after several
 * starts within a minute), or the outcome is unknown.
 */
function isHeldBack(label: string, value: unknown): boolean {
  if (label === 'budget.take') return (value as number) > 0
  if (label === 'store.commit') return HELD_BACK.has((value as CommitResult).kind)
  return label === 'broker.submit' && !DEFINITIVE.has((value as SubmitOutcome).kind)
}

/** Quotes come from another host. */
const isOfTrading = (label: string): boolean =>
  label.startsWith('broker.') && label !== 'broker.readQuote'

/** True if the broker did not answer; a refusal is an answer. */
function isSilence(outcome: Heard): boolean {
  if (outcome.isDone) return (outcome.value as { kind?: unknown } | null)?.kind === 'unknown'
  return !(outcome.error instanceof BrokerError) || outcome.error.code === 'UNAVAILABLE'
}

const isOf = (
  { symbol, side, quantity, limitPrice }: Order,
  seen: Readonly<Pick<BrokerOrder, 'symbol' | 'side' | 'quantity' | 'limitPrice'>>,
): boolean =>
  symbol === seen.symbol &&
  side === seen.side &&
  quantity === seen.quantity &&
  limitPrice === seen.limitPrice

const DAY_MS = 86_400_000
type Session = Readonly<{ openMs: number; closeMs: number }>
/** The regular sessions by day since 1970. */
const sessions = new Map<number, Session>()

/** True if a regular session is open; the bounds count only then. */
function isSession(nowMs: number): boolean {
  const { openMs, closeMs } = sessionAt(nowMs)
  return openMs <= nowMs && nowMs < closeMs
}

/** The regular session of the day; `NaN`: there is none. */
function sessionAt(nowMs: number): Session {
  const day = Math.floor(nowMs / DAY_MS)
  const known = sessions.get(day)
  if (known !== undefined) return known
  const session = sessionOn(new Date(nowMs).toISOString().slice(0, 10))
  const found = {
    openMs: Date.parse(session?.openAt ?? ''),
    closeMs: Date.parse(session?.closeAt ?? ''),
  }
  sessions.set(day, found)
  return found
}
