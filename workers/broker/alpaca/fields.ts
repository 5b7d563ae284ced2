import { z } from 'zod'
import { type Decimal, tryDecNumber } from '#domain'

// Fields of what Alpaca sends. Amounts are decimal strings, times RFC 3339 with up to nine decimals
// and any offset. What cannot be read is a `ZodError`, whether a schema finds it out or a reader
// that does without for speed.

/** `null` when it is not a decimal. */
export const decimalOf = (value: unknown): Decimal | null =>
  typeof value === 'string' || typeof value === 'number' ? tryDecNumber(String(value)) : null

/** How nearly all of its times are written; the rest takes the long way. */
const UTC_TIME =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,9}))?Z$/

/**
 * RFC 3339 in UTC with nine decimals, so that the order of texts is the order of times; `null` when
 * it is not a time.
 */
export function timeOf(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const [plain, seconds, decimals = ''] = UTC_TIME.exec(value) ?? []
  if (plain !== undefined) return `${seconds}.${decimals.padEnd(9, '0')}Z`
  const ms = Date.parse(value)
  if (Number.isNaN(ms)) return null
  const fraction = /\.(\d{1,9})/.exec(value)?.[1] ?? ''
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`
}

/** An object as it came. */
export type Row = Readonly<Record<string, unknown>>

export function fail(field: string): never {
  throw new z.ZodError([
    { code: 'custom', path: [field], message: 'not in a shape that is known here', input: null },
  ])
}

export const rowOf = (value: unknown, what: string): Row =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Row) : fail(what)

export const optional = (row: Row, field: string): unknown => row[field] ?? null

export function text(row: Row, field: string): string {
  const value = row[field]
  return typeof value === 'string' ? value : fail(field)
}

export const name = (row: Row, field: string): string => text(row, field) || fail(field)

export const amount = (row: Row, field: string): Decimal => decimalOf(row[field]) ?? fail(field)

export const moment = (row: Row, field: string): string => timeOf(row[field]) ?? fail(field)

/** As `read`, of a field that may be absent or null. */
const ifAny =
  <T>(read: (row: Row, field: string) => T) =>
  (row: Row, field: string): T | null =>
    optional(row, field) === null ? null : read(row, field)

export const textIfAny = ifAny(text)
export const amountIfAny = ifAny(amount)
export const momentIfAny = ifAny(moment)
