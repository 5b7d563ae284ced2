import { z } from 'zod'
import { BrokerError } from '../port.ts'
import { failureOf, provesAbsence, readErrorOf } from './failures.ts'
import { fail, type Row, rowOf, text } from './fields.ts'

/** Runs a reading call: returns its answer, or throws a BrokerError. */
export async function read<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw readable(error)
  }
}

/** Like `read`; `null` if the broker does not know the object (404). */
export async function readIfThere<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof z.ZodError) && provesAbsence(failureOf(error))) return null
    throw readable(error)
  }
}

function readable(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error
  if (error instanceof z.ZodError)
    return new BrokerError('UNREADABLE', 'the broker answered in a shape that is not known here')
  return readErrorOf(failureOf(error))
}

/**
 * The unchanged JSON of an answer. The SDK's models of orders and activities cut times to
 * milliseconds, and drop the fields of exits that the SDK does not know.
 */
export const wire = async (answer: Promise<Readonly<{ raw: Response }>>): Promise<unknown> =>
  (await answer).raw.json()

/** Like `wire`, for a listing. @throws {z.ZodError} */
export async function wireRows(answer: Promise<Readonly<{ raw: Response }>>): Promise<ListedRow[]> {
  const rows = await wire(answer)
  if (!Array.isArray(rows)) return fail('rows')
  for (const row of rows) text(rowOf(row, 'row'), 'id')
  return rows as ListedRow[]
}

type ListedRow = Row & Readonly<{ id: string }>

/** The listing that an unreadable row belongs to. */
export type Listing = 'orders' | 'executions' | 'activities' | 'assets'
/**
 * Called with each unreadable row, each time it is listed, by the broker's id of the row.
 * @param field the row was read without this field; absent: the row was left out
 */
export type OnUnread = (listing: Listing, id: string, field?: string) => void

/**
 * The readable rows. Orders of other kinds (multi-leg, for example) were not placed by us and must
 * not stop the reading of the other rows.
 */
export const known = <T>(
  rows: readonly Readonly<{ id: string }>[],
  parse: (row: unknown) => T,
  onUnread: (id: string) => void,
): T[] =>
  rows.flatMap((row) => {
    try {
      return [parse(row)]
    } catch {
      onUnread(row.id)
      return []
    }
  })

/** The most pages of one listing; an account with more rows is read again with a later start. */
const PAGES_MAX = 40

/**
 * All rows of a listing that is read by pages; each page starts after the last row of the page
 * before. The listing ends with a page that is not full. A page that does not advance, or too many
 * pages, are an error: an incomplete listing must not look complete (CLK-06).
 */
export async function allPages<Row extends Readonly<{ id: string }>>(
  pageSize: number,
  page: (afterId: string | undefined) => Promise<readonly Row[]>,
  permit: () => Promise<void>,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  let afterId: string | undefined
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    if (pages > 0) await permit()
    const next = await read(() => page(afterId))
    rows.push(...next)
    if (next.length < pageSize) return rows
    const last = next.at(-1)?.id
    if (last === afterId)
      throw new BrokerError('UNREADABLE', 'a page of the listing repeats itself')
    afterId = last
  }
  throw new BrokerError('UNREADABLE', `more than ${PAGES_MAX * pageSize} rows in one listing`)
}

/**
 * Alpaca's `after` excludes its own moment and has milliseconds here: one millisecond earlier
 * includes `since`.
 */
export const justBefore = (since: string): Date => new Date(Date.parse(since) - 1)
