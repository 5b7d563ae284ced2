import { z } from 'zod'
import { type Decimal, tryDecNumber } from '#domain'

// Readers for the fields of Alpaca's messages. Amounts are decimal strings; times are RFC 3339 with
// up to nine decimals and any offset. An unreadable field throws a `ZodError`, from a schema as
// well as from the readers here, which use no schema for speed.

/** `null` if the value is not a decimal. */
export const decimalOf = (value: unknown): Decimal | null =>
  typeof value === 'string' || typeof value === 'number' ? tryDecNumber(String(value)) : null

/** The form of nearly all of Alpaca's times; other forms are parsed more slowly. */
const UTC_TIME =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,9}))?Z$/

/**
 * The time in RFC 3339, UTC, with nine decimals, so that the order of texts is the order of times;
 * `null` if the value is not a time.
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

/** An object of a message, unchanged. */
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

/** Like `read`, for a field that may be absent or null. */
const ifAny =
  <T>(read: (row: Row, field: string) => T) =>
  (row: Row, field: string): T | null =>
    optional(row, field) === null ? null : read(row, field)

export const textIfAny = ifAny(text)
export const amountIfAny = ifAny(amount)
export const momentIfAny = ifAny(moment)
