import { EVENT_NUMBER_MAX } from '#contract'
import { FillcastError } from '#runtime'

/**
 * An event that the live packet (MessagePack) and the log (JSON) would not both carry as it is.
 * Nothing is written or published.
 */
export class EventUnwritableError extends FillcastError<'EVENT_UNWRITABLE'> {
  constructor(at: string, why: string) {
    super('EVENT_UNWRITABLE', `an event cannot be written: ${at || 'its payload'} ${why}`)
  }
}

/**
 * A payload as both encodings carry it, so that a live event and its replay are the same bytes.
 * Text with half of a surrogate pair, which the encodings replace each in its own way, is replaced
 * here; a number beyond `EVENT_NUMBER_MAX`, of which MessagePack would keep the low 64 bits, is
 * refused, as is what is no JSON.
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
    case 'undefined': // left out by both
      return value
    case 'object':
      return value === null ? null : writableObject(value, at)
    case 'bigint':
    case 'function':
    case 'symbol':
      throw new EventUnwritableError(at, `must not be a ${typeof value}`)
  }
}

/** The same object, unless something in it had to be replaced. */
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
