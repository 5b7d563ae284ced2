import { io, type Socket } from 'socket.io-client'
import { systemClock } from '#runtime'
import type { Received } from './judge.ts'

/** Deadline of every condition that the scripted run waits for. */
const WAIT_MS_MAX = 30_000
const LOOK_INTERVAL_MS = 10
const RECONNECT_DELAY_MS = 100

/** One device: a plain Socket.IO client that records the events that it receives. */
export class Player {
  readonly name: string
  readonly socket: Socket
  #received: Received[] = []

  constructor(
    name: string,
    relayUrl: string,
    token: string,
    onEvent: (received: Received) => void,
  ) {
    this.name = name
    const way = { transports: ['websocket', 'polling'], tryAllTransports: true }
    this.socket = io(relayUrl, {
      ...way,
      query: { token },
      forceNew: true,
      reconnectionDelay: RECONNECT_DELAY_MS,
    })
    this.socket.onAny((event: string, payload: unknown) => {
      const received = { client: name, event, payload }
      this.#received.push(received)
      onEvent(received)
    })
  }

  /** Resolves once `event` is among the events received since the last `take`. */
  async hears(event: string): Promise<void> {
    await until(
      () => this.#received.some((one) => one.event === event),
      `${this.name} receives ${event}`,
    )
  }

  /** The events received since the last call. */
  take(): readonly Received[] {
    const received = this.#received
    this.#received = []
    return received
  }
}

/** Polls until a condition holds. @throws naming the condition, if it does not hold in time */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = systemClock.monotonicMs() + WAIT_MS_MAX
  while (!(await holds())) {
    if (systemClock.monotonicMs() > endMs)
      throw new Error(`waited ${WAIT_MS_MAX / 1000} s in vain: ${what}`)
    await systemClock.sleep(LOOK_INTERVAL_MS)
  }
}
