import { createLogger, Metrics, systemClock } from '#runtime'
import { Outage } from '#transport'
import { createRelayMetrics } from '../../../relay/context.ts'
import type { EventSink } from '../../../relay/event-sink.ts'
import { UserStream } from '../../../relay/user-stream.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import { logReader } from './log-reader.ts'

/**
 * One client's connection to a relay. `heard`: logged events with their places, and by name what
 * concerns the connection.
 */
export class Subscriber {
  readonly heard: (string | Readonly<{ event: string; id: string; prev: string }>)[] = []
  readonly stream: UserStream
  readonly #store: FakeStore
  readonly #userId: string
  #published: number

  constructor(store: FakeStore, userId = 'u1') {
    this.#store = store
    this.#userId = userId
    this.#published = store.log(userId).length
    const outlet: EventSink = {
      isOpen: () => true,
      isBehind: () => false,
      tell: (event) => this.heard.push(event),
      deliver: ({ event, meta }) => this.heard.push({ event, ...meta }),
    }
    const metrics = createRelayMetrics(new Metrics(false))
    const log = createLogger('test', 'silent')
    const deps = {
      reader: logReader(store, async () => {}),
      clock: systemClock,
      log,
      outage: new Outage(systemClock, log),
      metrics,
    }
    this.stream = new UserStream(deps, userId, outlet)
  }

  start(lastEventId = this.#store.lastEventId(this.#userId)): Promise<void> {
    return this.stream.start(lastEventId, () => {})
  }

  /** Redis publishes what was logged since; `isHeard` decides which of it comes. */
  publish(isHeard: () => boolean = () => true): void {
    const log = this.#store.log(this.#userId)
    for (const { id, prev, event, payload } of log.slice(this.#published))
      if (isHeard()) this.stream.receive({ event, payload, meta: { id, prev } })
    this.#published = log.length
  }
}
