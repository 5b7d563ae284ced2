import type { Clock, Logger } from '#runtime'
import type { ConnectionRef, Connections } from '#store'

/** Connections that one worker keeps in view. */
export const CONNECTIONS_MAX = 50_000
const READ_EVERY_MS = 1_000
const PAGE = 500

/** Hears of every broker connection, once at start and again whenever its record changes. */
export function watchConnections(
  connections: Connections,
  clock: Clock,
  log: Logger,
  onChanged: (ref: ConnectionRef) => void,
): AsyncDisposable {
  const seen = new Map<string, number>()
  let from = 0
  let reading: Promise<void> = Promise.resolve()
  const read = async (): Promise<void> => {
    for (;;) {
      const page = await connections.changedSince(from, PAGE)
      for (const { userId, connectionId, position } of page) {
        const key = `${userId} ${connectionId}`
        from = Math.max(from, position) // inclusive: entries with the same position are told apart by `seen`
        if (seen.get(key) === position) continue
        if (seen.size >= CONNECTIONS_MAX && !seen.has(key)) log.error({ max: CONNECTIONS_MAX }, 'directory.full')
        else {
          seen.set(key, position)
          onChanged({ userId, connectionId })
        }
      }
      if (page.length < PAGE) return
    }
  }
  const turn = (): void => {
    reading = reading.then(read).catch((error: unknown) => log.warn({ error }, 'directory.read_failed'))
  }
  turn()
  const stop = clock.every(READ_EVERY_MS, turn)
  return {
    async [Symbol.asyncDispose]() {
      stop()
      await reading
    },
  }
}
