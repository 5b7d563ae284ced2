import type { Clock } from '#runtime'

/**
 * One received request. `status` is null until the request is answered, and stays null if the
 * answer was dropped.
 */
export type JournalEntry = {
  readonly at: string
  readonly method: string
  readonly path: string
  readonly query: string
  /** Parsed JSON body; null without one. */
  body: unknown
  /** Null if the request was not authenticated. */
  keyId: string | null
  status: number | null
}

/** The last requests, oldest first, and the number of all requests so far. */
export interface RequestJournal {
  open(method: string, path: string, query: string): JournalEntry
  entries(): readonly JournalEntry[]
  readonly received: number
}

const REQUESTS_JOURNALED_MAX = 20_000

export function createRequestJournal(clock: Clock): RequestJournal {
  const kept: JournalEntry[] = []
  let received = 0
  return {
    open(method, path, query) {
      const at = new Date(clock.now()).toISOString()
      const entry: JournalEntry = { at, method, path, query, body: null, keyId: null, status: null }
      received += 1
      kept.push(entry)
      // Removed in blocks, so a long run does not shift the whole array on every request.
      if (kept.length > REQUESTS_JOURNALED_MAX * 2)
        kept.splice(0, kept.length - REQUESTS_JOURNALED_MAX)
      return entry
    },
    entries: () => kept.slice(-REQUESTS_JOURNALED_MAX),
    get received() {
      return received
    },
  }
}
