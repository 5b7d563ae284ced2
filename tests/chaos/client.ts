import { io, type Socket } from 'socket.io-client'

export const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']] as const

/** A plain client that keeps the id of the last event it handled, which is all that it takes. */
export class ChaosClient {
  readonly userId: string
  readonly socket: Socket
  /** Every event that it has heard, as the event names itself. */
  readonly heard: string[] = []
  /** Names of all events other than those. */
  readonly others = new Map<string, number>()
  onEvent: () => void = () => {}

  constructor(userId: string, url: string, token: string, transports: readonly string[]) {
    this.userId = userId
    const auth = { token, lastEventId: '' }
    this.socket = io(url, {
      auth,
      transports: [...transports],
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 1_000,
    })
    this.socket.on(
      'broker.connected',
      (payload: { brokerConnectionId: string }, { id }: { id: string }) => {
        auth.lastEventId = id
        this.heard.push(payload.brokerConnectionId)
        this.onEvent()
      },
    )
    this.socket.on('connection.authorized', ({ lastEventId }: { lastEventId: string }) => {
      auth.lastEventId ||= lastEventId // from here on it misses nothing, even if it is cut before the first event
    })
    this.socket.onAny((event: string) => {
      if (event !== 'broker.connected') this.others.set(event, (this.others.get(event) ?? 0) + 1)
    })
  }

  count(event: string): number {
    return this.others.get(event) ?? 0
  }
}
