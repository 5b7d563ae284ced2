import { FillcastError } from '#runtime'

/** A stored record that this version of the code cannot read. It is left as it is; whoever met it stops working on it. */
export class RecordError extends FillcastError<'RECORD_UNREADABLE'> {
  constructor(field: string, why: string) {
    super('RECORD_UNREADABLE', `record ${field} cannot be read: ${why}`)
  }
}

/** The version in which records are written; n and n - 1 are read. */
const SCHEMA = 1

/** Reads one record, or answers `null` where there is none. @throws {RecordError} */
export function readRecord<T extends { readonly schema: number }>(
  field: string,
  text: string | null | undefined,
): T | null {
  if (text === null || text === undefined) return null
  let record: unknown
  try {
    record = JSON.parse(text)
  } catch {
    throw new RecordError(field, 'it is not JSON')
  }
  if (typeof record !== 'object' || record === null || !('schema' in record))
    throw new RecordError(field, 'it has no schema')
  if (record.schema !== SCHEMA)
    throw new RecordError(field, `its schema is ${String(record.schema)}, this code reads ${SCHEMA}`)
  return record as T
}
