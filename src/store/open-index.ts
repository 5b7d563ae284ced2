import type { Redis } from 'ioredis'
import { isOpenOrder, isZero, type Order, overExitOf } from '#domain'
import { field, openKey, stateKey } from './keys.ts'
import { orderRecord, readRecord } from './records.ts'
import type { Scripts } from './scripts.ts'

/**
 * A user's state holds every order of the day, and whoever asks for open orders wants a few of
 * them. So a set beside it names the fields that are asked for all the time: accounts, positions,
 * and the orders that are not over.
 *
 * Kept true: the set is exact while the state says so (`indexed` names the version, and how many
 * fields there are). The commit script keeps it so; a commit of an older worker, or a set that was
 * lost, leaves the two apart, and then the whole state is read instead, until `mend` has made the
 * set anew. So the set can make a reading slow, and never wrong.
 */

/**
 * Whether the set names an order. Whoever changes this must give the field `indexed` another name:
 * sets of before are others.
 */
export const isIndexed = (order: Order): boolean => isOpenOrder(order) || !isZero(overExitOf(order))

/** Whether the set names a field. @param order its record, if it is an order's */
export const isOpenField = (name: string, order: Order | null): boolean =>
  order === null ? name.startsWith('position:') || name.startsWith('account:') : isIndexed(order)

/** Readings of a state that is written meanwhile, before all of it is read. */
const TRIES_MAX = 2

/** Open fields and their records, at one version; `null`: the set does not say which they are. */
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
    // The same version before and after: nothing was written in between, and the set is the one of
    // these records.
    if (texts[0] === version)
      return Object.fromEntries(wanted.flatMap((name, i) => pairOf(name, texts[i])))
  }
  return null
}

const pairOf = (name: string, text: string | null | undefined): [string, string][] =>
  text == null ? [] : [[name, text]]

/** Makes the set of a state that was read whole. @throws {RecordError} */
export async function mend(
  redis: Pick<Scripts, 'openIndex'>,
  userId: string,
  records: Readonly<Record<string, string>>,
): Promise<void> {
  const version = records[field.version]
  if (version === undefined) return
  await redis.openIndex(stateKey(userId), openKey(userId), version, ...openFieldsOf(records))
}

/** What the set of a state has to be. @throws {RecordError} */
export const openFieldsOf = (records: Readonly<Record<string, string>>): string[] =>
  Object.entries(records).flatMap(([name, text]) => {
    const order = name.startsWith('order:') ? readRecord(orderRecord, name, text) : null
    return isOpenField(name, order) ? [name] : []
  })
