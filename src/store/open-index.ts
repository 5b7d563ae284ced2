import type { Redis } from 'ioredis'
import { isOpenOrder, isZero, type Order, overExitOf } from '#domain'
import { field, openKey, stateKey } from './keys.ts'
import { orderRecord, readRecord } from './records.ts'
import type { Scripts } from './scripts.ts'

/**
 * A user's state holds every order of the day, but a caller that asks for open orders needs only a
 * few of them. So a set beside the state names the fields that are read often: accounts, positions,
 * and the orders that are not over.
 *
 * Invariants:
 * - The set is exact while the state confirms it: `indexed` names the version, and the number of
 *   fields.
 * - The commit script keeps the set exact. After a commit of an older worker, or a loss of the set,
 *   `indexed` does not match. Then the whole state is read, until `mend` has written the set anew.
 * - So an outdated set can make a reading slow, but never wrong.
 */

/**
 * Returns whether the set names an order. If this rule changes, the field `indexed` must get
 * another name, because the stored sets follow the old rule.
 */
export const isIndexed = (order: Order): boolean => isOpenOrder(order) || !isZero(overExitOf(order))

/** Returns whether the set names a field. @param order the record, if the field is an order's */
export const isOpenField = (name: string, order: Order | null): boolean =>
  order === null ? name.startsWith('position:') || name.startsWith('account:') : isIndexed(order)

/** Readings of a state that other commits keep changing, before the whole state is read. */
const TRIES_MAX = 2

/** Open fields and their records, at one version; `null`: the set does not match the state. */
export async function readOpen(
  redis: Redis,
  userId: string,
): Promise<Record<string, string> | null> {
  const key = stateKey(userId)
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const [[version, indexed], names] = await Promise.all([
      redis.hmget(key, field.version, field.indexed),
      redis.smembers(openKey(userId)),
    ])
    if (version == null || indexed !== `${version} ${names.length}`) return null
    const wanted = [field.version, field.last, ...names]
    const texts = await redis.hmget(key, ...wanted)
    // The same version before and after: no commit came in between, so the set belongs to these
    // records.
    if (texts[0] === version)
      return Object.fromEntries(wanted.flatMap((name, i) => pairOf(name, texts[i])))
  }
  return null
}

const pairOf = (name: string, text: string | null | undefined): [string, string][] =>
  text == null ? [] : [[name, text]]

/** Writes the set of a state that was read whole. @throws {RecordError} */
export async function mend(
  redis: Pick<Scripts, 'openIndex'>,
  userId: string,
  records: Readonly<Record<string, string>>,
): Promise<void> {
  const version = records[field.version]
  if (version === undefined) return
  await redis.openIndex(stateKey(userId), openKey(userId), version, ...openFieldsOf(records))
}

/** The fields that the set of a state must name. @throws {RecordError} */
export const openFieldsOf = (records: Readonly<Record<string, string>>): string[] =>
  Object.entries(records).flatMap(([name, text]) => {
    const order = name.startsWith('order:') ? readRecord(orderRecord, name, text) : null
    return isOpenField(name, order) ? [name] : []
  })
