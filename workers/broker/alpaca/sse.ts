/**
 * Parses server-sent events from a byte stream: the `data` of each event, and comments as items of
 * their own, because Alpaca reports dropped messages in comments. Only the part of the format that
 * Alpaca uses is parsed; line ends may be split between chunks.
 */
export type SseItem = Readonly<{ kind: 'data' | 'comment'; text: string }>

/** Limit for one event; an event of one activity is a few hundred bytes. */
const EVENT_CHARS_MAX = 262_144

/** @throws {RangeError} an event is longer than any event of this stream */
export class SseParser {
  readonly #decoder = new TextDecoder()
  #rest = ''
  #data: string[] = []

  /** The items that the chunk completes, in order. */
  read(chunk: Uint8Array): SseItem[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n')
    this.#rest = lines.pop() ?? ''
    if (this.#rest.length > EVENT_CHARS_MAX)
      throw new RangeError('an event of the stream is too long')
    return lines.flatMap((line) => this.#line(line.endsWith('\r') ? line.slice(0, -1) : line))
  }

  #line(line: string): SseItem[] {
    if (line.startsWith(':')) return [{ kind: 'comment', text: line.slice(1).trim() }]
    if (line.startsWith('data:')) {
      this.#data.push(line.slice('data:'.length).replace(/^ /, ''))
      return []
    }
    if (line !== '' || this.#data.length === 0) return []
    const text = this.#data.join('\n')
    this.#data = []
    return [{ kind: 'data', text }]
  }
}
