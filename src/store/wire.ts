import { EVENT_NUMBER_MAX } from '#contract'
import { FillcastError } from '#runtime'

/**
 * An event that the live packet (MessagePack) and the log (JSON) cannot both carry unchanged. The
 * event is neither written nor published.
 */
export class EventUnwritableError extends FillcastError<'EVENT_UNWRITABLE'> {
  constructor(at: string, why: string) {
    super('EVENT_UNWRITABLE', `an event cannot be written: ${at || 'its payload'} ${why}`)
  }
}

/**
 * A payload in the form that both encodings carry, so that a live event and its replay are the same
 * bytes.
 * - Text with half of a surrogate pair is repaired here, because each encoding would replace the
 *   half in its own way.
 * - A number beyond `EVENT_NUMBER_MAX` is refused: MessagePack would keep only its low 64 bits.
 * - A value that JSON cannot hold is refused.
 * @throws {EventUnwritableError}
 */
export function writable<T>(value: T, at?: string): T
export function writable(value: unknown, at = ''): unknown {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value : value.toWellFormed()
    case 'number':
      if (Number.isFinite(value) && Math.abs(value) <= EVENT_NUMBER_MAX) return value
      throw new EventUnwritableError(at, `must be a number of at most ${EVENT_NUMBER_MAX}`)
    case 'boolean':
    case 'undefined': // both encodings leave it out
      return value
    case 'object':
      return value === null ? null : writableObject(value, at)
    case 'bigint':
    case 'function':
    case 'symbol':
      throw new EventUnwritableError(at, `must not be a ${typeof value}`)
  }
}

/** The same object, unless a value in it had to be replaced. */
function writableObject(value: object, at: string): object {
  if (Array.isArray(value)) {
    const items = value as readonly unknown[]
    const written = items.map((item, index) => writable(item, `${at}[${index}]`))
    return written.some((item, index) => item !== items[index]) ? written : items
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null)
    throw new EventUnwritableError(at, 'must be a plain object')
  let copy: Record<string, unknown> | null = null
  for (const [key, field] of Object.entries(value) as [string, unknown][]) {
    const path = at === '' ? key : `${at}.${key}`
    if (key === '__proto__' || !key.isWellFormed())
      throw new EventUnwritableError(path, 'has a name that is not one')
    const written = writable(field, path)
    if (written !== field) copy = { ...(copy ?? value), [key]: written }
  }
  return copy ?? value
}
