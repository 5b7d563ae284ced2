import { setTimeout as pause } from 'node:timers/promises'
import { EVENT_ID_ZERO } from '#contract'
import type { LogEntry, Reader } from '#store'

const PAGE = 500
const FOLLOW_MS = 250

/**
 * Follows users' event logs while they are written, as a client that misses nothing: logs are
 * trimmed, so the end is too late.
 */
export class LogTail {
  /** The logs as they are stored: entries that Redis lost are not in them any more. */
  readonly entries = new Map<string, LogEntry[]>()
  /** Breaks of the chain of ids behind which nothing was lost. */
  holes = 0
  /** Events that were read and then lost with Redis: clients get a resync. */
  takenBack = 0
  readonly #reader: Reader
  readonly #users: readonly string[]
  #reading: Promise<void> = Promise.resolve()

  constructor(reader: Reader, users: readonly string[]) {
    this.#reader = reader
    this.#users = users
    for (const user of users) this.entries.set(user, [])
  }

  /** Reads on its own until the function that it returns is called. */
  follow(): () => Promise<void> {
    let isOver = false
    const following = (async () => {
      for (; !isOver; await pause(FOLLOW_MS)) await this.catchUp()
    })()
    return () => {
      isOver = true
      return following
    }
  }

  /** Reads everything that is new. One reading at a time: two would read the same entries. */
  catchUp(): Promise<void> {
    return (this.#reading = this.#reading.then(async () => {
      await Promise.all(this.#users.map((user) => this.#read(user)))
    }))
  }

  async #read(user: string): Promise<void> {
    const seen = this.entries.get(user) ?? []
    for (;;) {
      const position = seen.at(-1)?.id ?? EVENT_ID_ZERO
      const { entries, top } = await this.#reader.events(user, position, PAGE)
      const [next] = entries
      if (next === undefined && top < position) this.#takeBack(seen, top)
      else if (next !== undefined && next.prev !== position) this.#takeBack(seen, next.prev)
      if (next !== undefined && next.prev !== (seen.at(-1)?.id ?? EVENT_ID_ZERO)) this.holes += 1
      seen.push(...entries)
      if (entries.length < PAGE) return
    }
  }

  /**
   * Ids grow, and none is used twice: entries beyond `top` that no later entry follows are gone.
   */
  #takeBack(seen: LogEntry[], top: string): void {
    const kept = seen.findLastIndex(({ id }) => id <= top) + 1
    this.takenBack += seen.length - kept
    seen.length = kept
  }
}
