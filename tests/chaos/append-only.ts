import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { clearInterval, setInterval } from 'node:timers'

const FOLDER = 'appendonlydir'
const LOOK_MS = 10
/** The time whose writes a server that syncs once a second may lose with its machine. */
export const LOST_MS_MAX = 1_000

type Sight = Readonly<{ atMs: number; name: string; bytes: number }>

/**
 * The append-only file of a Redis server, and its length at each moment of the last second. A
 * killed server loses no write that it had handed to the system; only a lost machine loses the
 * writes that were not synced. Cut back, the file is as after such a loss, which is a moment in the
 * past: writes are in the file in their order.
 */
export class AppendOnlyFile implements Disposable {
  readonly #folder: string
  readonly #timer: NodeJS.Timeout
  #sights: Sight[] = []

  /** @param dataFolder the server's */
  constructor(dataFolder: string) {
    this.#folder = join(dataFolder, FOLDER)
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  /** While the server is down. @returns how many bytes were lost */
  cutBack(lostMs: number): number {
    const now = this.#newest()
    if (now === null) return 0
    const untilMs = performance.now() - lostMs
    // A file that was begun since then contains only lost writes.
    const then = this.#sights.findLast(({ atMs, name }) => atMs <= untilMs && name === now.name)
    const oldest = this.#sights.find(({ name }) => name === now.name)
    const bytes = then?.bytes ?? oldest?.bytes ?? now.bytes
    truncateSync(join(this.#folder, now.name), bytes)
    this.#sights = []
    return now.bytes - bytes
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const sight = this.#newest()
    if (sight === null) return
    this.#sights = [
      ...this.#sights.filter(({ atMs }) => atMs > sight.atMs - 2 * LOST_MS_MAX),
      sight,
    ]
  }

  /** The file that is written to: a rewrite begins another, with the next number. */
  #newest(): Sight | null {
    const parts = readdirSync(this.#folder).map(
      (name) => [Number(/\.(\d+)\.incr\.aof$/.exec(name)?.[1] ?? -1), name] as const,
    )
    const [number, name] = parts.reduce((newest, part) => (part[0] > newest[0] ? part : newest), [
      -1,
      '',
    ] as const)
    if (number < 0) return null
    return { atMs: performance.now(), name, bytes: statSync(join(this.#folder, name)).size }
  }
}
