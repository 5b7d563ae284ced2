import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Heard, PortCall, Process } from './process.ts'
import { inJob } from './schedule.ts'

/** The actions of a trade stream, as a worker gets them. */
export type StreamWord = 'opened' | 'live' | 'down' | 'word'

/**
 * Three polls in a row that told what the stream should have, and it is mute (CON-01). From the
 * outside a total that has stood long enough to be believed looks like one more of them; hence
 * four.
 */
const POLLS_MAX = 4
/** A stream that stays mute is replaced ever less often. */
const AGAIN_MS = 10 * 60_000

/** A report of the stream may be written this much later. */
const WRITTEN_MS = 2_000

/**
 * Whose findings are written: those of polls, or those of a reading of the account, which loads the
 * connection first.
 *
 *   polls --connection loaded--> account --orders listed--> listed
 *   listed --orders listed, by a poll--> polls
 *   account, listed --portfolio read--> polls
 */
type Reading = 'polls' | 'account' | 'listed'

type Session = {
  isLive: boolean
  spokeMs: number
  silentPolls: number
  hasNews: boolean
  isRecovering: boolean
  reading: Reading
  openedMs: number[]
}

/**
 * C8: a stream that tells nothing of what the polls find is given up for another, within so many
 * polls.
 */
export class MuteBound {
  readonly #say: (finding: string) => void
  /** By process, user and connection. */
  readonly #sessions = new Map<string, Session>()

  constructor(say: (finding: string) => void) {
    this.#say = say
  }

  spoke(nowMs: number, process: Process, ref: ConnectionRef, word: StreamWord): void {
    const session = this.#sessionOf(process, ref)
    Object.assign(session, { silentPolls: 0, hasNews: false, spokeMs: nowMs })
    if (word === 'opened') session.openedMs.push(nowMs)
    if (word === 'opened' || word === 'down') session.isLive = false
    if (word === 'live') session.isLive = true
  }

  calling(nowMs: number, process: Process, { label, args }: PortCall): void {
    if (label !== 'store.commit') return
    const [userId, { fence, events }] = args as Parameters<FakeStore['commit']>
    if (fence.kind !== 'lease') return
    const session = this.#sessionOf(process, { userId, connectionId: fence.connectionId })
    const isOfStream = nowMs - session.spokeMs < WRITTEN_MS
    if (
      !isOfStream &&
      session.reading === 'polls' &&
      events.some(({ event }) => event.startsWith('trade.'))
    )
      session.hasNews = true
  }

  heard(nowMs: number, process: Process, { label, account, args }: PortCall, outcome: Heard): void {
    if (label === 'recoveries.begin' || label === 'recoveries.end') {
      const session = this.#sessionOf(process, (args as [ConnectionRef])[0])
      Object.assign(session, {
        isRecovering: label === 'recoveries.begin',
        hasNews: false,
        reading: 'polls',
      })
    }
    if (!outcome.isDone || inJob.getStore() !== undefined) return
    if (label === 'store.loadConnection') {
      const [userId, connectionId] = args as Parameters<FakeStore['loadConnection']>
      this.#sessionOf(process, { userId, connectionId }).reading = 'account'
    }
    const [userId = '', connectionId = ''] = (account ?? '').split(' ')
    if (label === 'broker.readPortfolio')
      this.#sessionOf(process, { userId, connectionId }).reading = 'polls'
    if (label !== 'broker.listOrders') return
    const session = this.#sessionOf(process, { userId, connectionId })
    const isOfPoll = session.reading !== 'account'
    session.reading = isOfPoll ? 'polls' : 'listed'
    if (!isOfPoll || session.isRecovering || !session.isLive) return
    if (session.hasNews) session.silentPolls += 1
    session.hasNews = false
    const wasReplaced =
      session.openedMs.length > 1 && nowMs - (session.openedMs.at(-1) ?? 0) < AGAIN_MS
    if (session.silentPolls >= POLLS_MAX && !wasReplaced)
      this.#say(
        `C8 the stream of ${connectionId} told nothing of what ${session.silentPolls} polls found, and stands`,
      )
  }

  #sessionOf({ name }: Process, { userId, connectionId }: ConnectionRef): Session {
    const key = `${name} ${userId} ${connectionId}`
    const known = this.#sessions.get(key)
    const fresh = {
      isLive: false,
      spokeMs: -Infinity,
      silentPolls: 0,
      hasNews: false,
      isRecovering: false,
    }
    const session: Session = known ?? { ...fresh, reading: 'polls', openedMs: [] }
    this.#sessions.set(key, session)
    return session
  }
}
