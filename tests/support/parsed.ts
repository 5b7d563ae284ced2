/** Texts whose values are kept; all of them are forgotten when there are more. */
const PARSED_MAX = 5_000

const parsed = new Map<string, unknown>()

/**
 * The value of a JSON text, parsed once. The value is deeply frozen, so that a change of a read
 * value fails instead of changing it for other readers.
 */
export function parsedOnce<T>(text: string): T {
  const known = parsed.get(text)
  if (known !== undefined) return known as T
  if (parsed.size >= PARSED_MAX) parsed.clear()
  const value = frozen(JSON.parse(text))
  parsed.set(text, value)
  return value as T
}

function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  for (const part of Object.values(value)) frozen(part)
  return Object.freeze(value)
}
