import { EVENT_ID_ZERO } from '#contract'
import type { Reader } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'

/**
 * The store as a relay reads it: as the reader on Redis does, in several commands where that needs
 * several.
 * @param between is awaited between two commands: the store may move on meanwhile
 */
export function logReader(store: FakeStore, between: () => Promise<void>): Reader {
  // A state that was lost names no event; then the end of the log is the top.
  const topOf = (userId: string): string => {
    const top = store.lastEventId(userId)
    return top === EVENT_ID_ZERO ? (store.readableLog(userId).at(-1)?.id ?? top) : top
  }
  const snapshot: Reader['snapshot'] = async (userId) => ({
    ...store.snapshot(userId),
    lastEventId: topOf(userId),
  })
  return {
    snapshot,
    top: async (userId) => topOf(userId),
    order: async () => null,
    parked: async () => null,
    tombstone: async () => null,
    async events(userId, afterId, limit) {
      const top = topOf(userId)
      await between()
      const entries = store.readableLog(userId).filter(({ id }) => id > afterId)
      return { top, entries: entries.slice(0, limit) }
    },
    async figures(userId) {
      const { marker } = store
      const connections = connectionsOf(store, userId)
      await between()
      const seen = await snapshot(userId)
      await between()
      if (marker === null || store.marker !== marker)
        return { snapshot: seen, unread: 'store_lost' }
      const read = new Set(seen.accounts.map(({ connectionId }) => connectionId))
      const isEachRead = connections.linked.every((connectionId) => read.has(connectionId))
      const isAnyRead = connections.count === 0 || read.size > 0
      return { snapshot: seen, unread: isEachRead && isAnyRead ? null : 'account_unread' }
    },
  }
}

/** A user's connections: how many there are, and of those whose account is known the ids. */
export function connectionsOf({ controls }: FakeStore, userId: string) {
  const all = controls.connectionIds(userId)
  const linked = all.filter(
    (connectionId) => (controls.linked({ userId, connectionId })?.link ?? null) !== null,
  )
  return { count: all.length, linked }
}
