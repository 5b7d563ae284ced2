import type { z } from 'zod'
import { InvalidRequestError, UnavailableError } from './errors.ts'

/**
 * The request in its canonical form.
 * @throws {InvalidRequestError} naming each wrong field
 */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  request: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(request)
  if (!parsed.success) throw new InvalidRequestError(parsed.error)
  return parsed.data
}

/**
 * The result of a call to Redis.
 * @throws {UnavailableError} Redis did not answer
 */
export async function available<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw new UnavailableError({ cause: error })
  }
}
