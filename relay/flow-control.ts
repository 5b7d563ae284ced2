import type { Clock } from '#runtime'
import type { Outage } from '#transport'
import type { EventSink } from './event-sink.ts'

/** How often the stream checks whether a connection that is behind can take more. */
const BEHIND_LOOK_MS = 20
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 5_000

/**
 * Repeats a step with growing pauses while it fails; drops the step once the connection is gone.
 */
export async function persist(
  { outage, clock }: Readonly<{ outage: Outage; clock: Clock }>,
  sink: EventSink,
  step: () => Promise<unknown>,
): Promise<void> {
  for (let failures = 0; sink.isOpen(); failures += 1) {
    try {
      await step()
      return
    } catch (error) {
      outage.failed('stream.log_unreadable', error)
      await clock.sleep(Math.min(RETRY_MS_MIN * 2 ** Math.min(failures, 10), RETRY_MS_MAX))
    }
  }
}

/** Waits until the connection can take more; `false` once it is gone. */
export async function isReady(clock: Clock, sink: EventSink): Promise<boolean> {
  while (sink.isOpen() && sink.isBehind()) await clock.sleep(BEHIND_LOOK_MS)
  return sink.isOpen()
}
