import { type EventPosition, serverEvents, type SyncType } from '#contract'
import type { Process } from './process.ts'
import type { Hearing } from './hearing.ts'
import { View } from './view.ts'

/** One event as it comes over the wire. `at`: its second argument. */
export type Message = Readonly<{ event: string; payload: object; at?: EventPosition | undefined }>

/**
 * Where a client resumes.
 * - `last`: after the last event that it handled; a client that handled none starts anew
 * - `older`: at an earlier event, with the view of that time: a device that was restored
 * - `none`: without an event id
 * - `garbage`: at a text that is no event id
 * - `ahead`: at an id that the log does not have yet
 */
export const RESUMES = ['last', 'older', 'none', 'garbage', 'ahead'] as const
export type Resume = (typeof RESUMES)[number]

/** From this number of waiting messages on, a client is behind. */
const BEHIND_MESSAGES = 16
/** A client saves its view after this number of messages, for a later restore. */
const KEPT_EVERY = 8
/** A client that got `busy` asks again after this time. */
const ASK_AGAIN_MS = 1_000
const AHEAD = '9999999999999-00000'

/** The correct view of a client. `untold`: trades that no event has reported yet. */
export type Truth = Readonly<{ view: View; untold: ReadonlySet<string> }>

/** A connection to a relay, as its client uses it. */
export type ClientConnection = Readonly<{
  hearing: Hearing
  requestSync(
    types: readonly SyncType[] | undefined,
    answer: (given: 'sent' | 'owed' | 'busy') => void,
  ): void
  close(): void
}>

/** The network of a client: it connects to one of the relays, counts events, takes findings. */
export type Network = Readonly<{
  connect(client: ModelClient, lastEventId: unknown): ClientConnection
  note(what: string): void
  say(finding: string): void
}>

/**
 * A client of one user that follows the contract: it keeps the id of the last event that it
 * handled, and resumes there after a cut. It replaces its view by the `state.sync` after a
 * `state.resync`, and requests a `state.sync` while it has no view.
 *
 *   away --connects--> connected --cut, or its relay is gone--> away
 */
export class ModelClient {
  readonly userId: string
  readonly #process: Process
  readonly #network: Network
  #connection: ClientConnection | null = null
  #inbox: Message[] = []
  #lastEventId = ''
  /** `null`: the client has no view yet. */
  #view: View | null = null
  /** The client got `state.resync`: its view is out of date. */
  #isStale = false
  #kept: Readonly<{ lastEventId: string; view: View | null }> = { lastEventId: '', view: null }
  #handled = 0
  #isReturning = false

  constructor(userId: string, process: Process, network: Network) {
    this.userId = userId
    this.#process = process
    this.#network = network
  }

  /** So many messages wait for the client that a relay must wait. */
  isBehind(): boolean {
    const isBehind = this.#inbox.length >= BEHIND_MESSAGES
    if (isBehind) this.#network.note('client behind')
    return isBehind
  }

  connect(): void {
    this.#isReturning = false
    if (this.#connection !== null) return
    if (this.#lastEventId === '') this.#view = null
    this.#connection = this.#network.connect(this, this.#lastEventId)
  }

  /** The connection breaks, messages in transit are lost. The client reconnects after `afterMs`. */
  cut(afterMs: number, resume: Resume = 'last'): void {
    this.#network.note('client cut')
    this.#network.note(`resume ${resume}`)
    this.#connection?.close()
    this.#connection = null
    this.#inbox = []
    if (resume === 'older') this.#restore()
    else if (resume !== 'last')
      this.#forget(resume === 'none' ? '' : resume === 'ahead' ? AHEAD : 'not-an-id')
    this.#returnAfter(afterMs)
  }

  /** The relay closed this connection. */
  closed(connection: ClientConnection, afterMs: number): void {
    if (connection !== this.#connection) return
    this.#connection = null
    this.#inbox = []
    this.#returnAfter(afterMs)
  }

  /** The client handles no message for `forMs`; its messages wait. */
  stall(forMs: number, later: (afterMs: number, run: () => void) => void): void {
    this.#network.note('client stalled')
    this.#process.freeze()
    later(forMs, () => this.#process.thaw())
  }

  /** `state.requestSync`. @param types default: all */
  requestSync(types?: readonly SyncType[]): void {
    void this.#process.enter('ask', 'client.requestSync', () => {
      this.#connection?.requestSync(types, (answer) => {
        this.#network.note(`sync ${answer}`)
        if (answer === 'busy')
          this.#process.clock.after(ASK_AGAIN_MS, () => this.requestSync(types))
      })
    })
  }

  /** A message comes from the relay. */
  take(connection: ClientConnection, message: Message): void {
    if (connection !== this.#connection) return
    this.#inbox.push(message)
    if (this.#inbox.length === 1)
      void this.#process.enter('hear', 'client.hears', () => this.#hearAll())
  }

  wake(): void {
    this.#process.thaw()
  }

  /**
   * At quiescence: the differences between the view of the client and the truth. `truth` `null`:
   * the figures cannot be shown.
   */
  findUnsettled(truth: Truth | null, top: string, isRead: boolean): string[] {
    if (this.#connection === null) return [`C5 a client of ${this.userId} is away`]
    const findings = this.#connection.hearing.findUnsettled(top, isRead)
    if (truth === null) return findings
    if (this.#view === null || this.#isStale)
      return [...findings, `C5 a client of ${this.userId} has no view`]
    return [
      ...findings,
      ...this.#view
        .differences(truth.view, truth.untold)
        .map((one) => `C5 for a client of ${this.userId}, ${one}`),
    ]
  }

  #returnAfter(afterMs: number): void {
    if (this.#isReturning) return
    this.#isReturning = true
    this.#process.clock.after(afterMs, () => this.connect())
  }

  #restore(): void {
    const { lastEventId, view } = this.#kept
    this.#lastEventId = lastEventId
    this.#view = view?.copy() ?? null
    this.#isStale = false
  }

  #forget(lastEventId: string): void {
    this.#lastEventId = lastEventId
    this.#view = null
    this.#isStale = false
    this.#kept = { lastEventId: '', view: null }
  }

  #hearAll(): void {
    const messages = this.#inbox
    this.#inbox = []
    for (const message of messages) this.#hear(message)
  }

  #hear({ event, payload, at }: Message): void {
    this.#network.note(event)
    if (event === 'connection.authorized') {
      // Every later change of the state is sent again after the event at which the client resumes.
      this.#isStale = false
      if (at !== undefined) this.#lastEventId = at.id
      if (this.#view === null && at !== undefined) this.requestSync()
      return
    }
    if (event === 'state.resync') this.#isStale = true
    else if (event === 'state.sync') this.#sync(payload)
    else if (this.#view !== null && !this.#isStale)
      for (const why of this.#view.apply(event, { ...payload }))
        this.#network.say(`C5 for a client of ${this.userId}, ${why} (${event})`)
    if (at !== undefined) this.#lastEventId = at.id
    this.#handled += 1
    if (this.#handled % KEPT_EVERY === 0 && !this.#isStale)
      this.#kept = { lastEventId: this.#lastEventId, view: this.#view?.copy() ?? null }
  }

  #sync(payload: object): void {
    const sync = serverEvents['state.sync'].schema.parse(payload)
    const isWhole =
      sync.portfolio !== undefined &&
      sync.positions !== undefined &&
      sync.pendingTrades !== undefined
    if (this.#view === null || this.#isStale) {
      if (!isWhole) return
      this.#view = new View()
      this.#isStale = false
    }
    this.#view.sync(sync)
  }
}
