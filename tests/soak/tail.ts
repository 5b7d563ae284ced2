import { EVENT_ID_ZERO } from '#contract'
import type { LogEntry, Reader } from '#store'

const PAGE = 500

/** Follows users' event logs while they are written, as a client that misses nothing: logs are trimmed, so the end is too late. */
export class LogTail {
  readonly entries = new Map<string, LogEntry[]>()
  /** Breaks of the chain of ids: what a client would have to ask a resync for. */
  holes = 0
  readonly #reader: Reader
  readonly #users: readonly string[]

  constructor(reader: Reader, users: readonly string[]) {
    this.#reader = reader
    this.#users = users
    for (const user of users) this.entries.set(user, [])
  }

  /** Reads everything that is new. */
  async catchUp(): Promise<void> {
    await Promise.all(this.#users.map((user) => this.#read(user)))
  }

  async #read(user: string): Promise<void> {
    const seen = this.entries.get(user) ?? []
    for (;;) {
      const position = seen.at(-1)?.id ?? EVENT_ID_ZERO
      const { entries } = await this.#reader.events(user, position, PAGE)
      if (entries[0] !== undefined && entries[0].prev !== position) this.holes += 1
      seen.push(...entries)
      if (entries.length < PAGE) return
    }
  }
}
