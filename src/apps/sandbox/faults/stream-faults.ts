import type { Account } from '../broker/account.ts'
import type { EventFault } from '../streams/event-stream.ts'
import type { StreamFaultKind } from './fault.ts'
import type { Faults } from './faults.ts'

/**
 * Stream faults. The streams ask at four places: at the upgrade, at the authentication (twice for
 * data) and for each event. State: a muted socket stays muted until it is closed; events to be
 * reordered wait until their fault has all of them, or is disarmed. An event without a listening
 * socket does not count as an event.
 */
export interface StreamFaults {
  /** True: the upgrade is answered with 429. */
  refusesUpgrade(stream: StreamName): boolean
  /** True: right credentials are answered like wrong credentials. */
  rejectsAuthentication(stream: StreamName, account: Account): boolean
  /** True: a data authentication is answered with error 406. */
  limitsConnections(account: Account): boolean
  /**
   * Sends one event to an account's sockets, subject to the armed faults.
   * @param send writes the event to one socket
   */
  deliver<Socket extends Closable>(
    to: Readonly<{ stream: StreamName; account: Account | undefined; sockets: Iterable<Socket> }>,
    send: (socket: Socket, asText: boolean) => void,
  ): void
}

/** The fault of the next event for one reader of an account's event stream. */
export type EventFaults = Readonly<{ meets(account: Account): EventFault }>

export const createEventFaults = (faults: Faults): EventFaults => ({
  meets(account) {
    const kind = faults.stream(['drop_for_slowness', 'end_with_error'], {
      stream: 'events',
      account,
    })?.kind
    return kind === undefined ? undefined : kind === 'end_with_error' ? 'error' : 'drop'
  },
})

type StreamName = 'trade' | 'data'
type Closable = Readonly<{ close(code: number, reason: string): void }>

const eventKinds: readonly StreamFaultKind[] = [
  'close_stream',
  'mute_stream',
  'lose_events',
  'duplicate_events',
  'reorder_events',
  'text_frames',
]
/** The close code of a server that is about to restart. */
const CLOSE_CODE = 1012

export function createStreamFaults(faults: Faults): StreamFaults {
  const muted = new WeakSet<Closable>()
  const kept = new Map<string, (() => void)[]>()
  const sendKept = (id: string): void => {
    const events = kept.get(id) ?? []
    kept.delete(id)
    events.toReversed().forEach((deliver) => deliver())
  }
  faults.onDisarm(sendKept)
  return {
    refusesUpgrade: (stream) =>
      faults.stream(['refuse_upgrade'], { stream, account: undefined }) !== undefined,
    rejectsAuthentication: (stream, account) =>
      faults.stream(['reject_auth'], { stream, account }) !== undefined,
    limitsConnections: (account) =>
      faults.stream(['connection_limit'], { stream: 'data', account }) !== undefined,
    deliver({ stream, account, sockets }, send) {
      const hearing = [...sockets].filter((socket) => !muted.has(socket))
      if (hearing.length === 0) return
      const fault = faults.stream(eventKinds, { stream, account })
      const toAll = (asText = false): void => hearing.forEach((socket) => send(socket, asText))
      switch (fault?.kind) {
        case 'lose_events':
          return
        case 'close_stream':
          return hearing.forEach((socket) => socket.close(CLOSE_CODE, 'service restart'))
        case 'mute_stream':
          return hearing.forEach((socket) => void muted.add(socket))
        case 'duplicate_events':
          toAll()
          return toAll()
        case 'text_frames':
          return toAll(true)
        case 'reorder_events':
          kept.set(fault.id, [...(kept.get(fault.id) ?? []), toAll])
          return fault.isLast ? sendKept(fault.id) : undefined
        default:
          toAll()
      }
    },
  }
}
