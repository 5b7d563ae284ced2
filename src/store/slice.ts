import type { Redis } from 'ioredis'
import { type Account, type Decimal, sum } from '#domain'
import {
  accountsIn,
  archiveKey,
  connectionIdsIn,
  controlKey,
  field,
  stateKey,
  tombstoneKey,
} from './keys.ts'
import type { CancelMark, LoadedSlice, SliceAddress } from './port.ts'
import {
  accountRecord,
  firstVersion,
  orderRecord,
  positionRecord,
  readRecord,
  readTombstone,
} from './records.ts'

export const cancelMarkRecord = firstVersion<CancelMark>()

/**
 * Reads the records that one order can touch, and the cash of the user's other accounts; see
 * `Store.loadSlice`.
 */
export async function loadSlice(
  redis: Redis,
  userId: string,
  { orderId, connectionId, symbol }: SliceAddress,
  archived: boolean,
): Promise<LoadedSlice> {
  const names = [
    field.order(orderId),
    field.position(connectionId, symbol),
    field.account(connectionId),
    field.cancelMark(orderId),
  ] as const
  const [[version, claim, listed, ...texts], controls] = await Promise.all([
    redis.hmget(stateKey(userId), field.version, field.claim(orderId), field.accounts, ...names),
    redis.hkeys(controlKey(userId)),
  ])
  const [hot, position, account, mark] = texts
  // The archive is read after the hot state: an order that moves between the two readings is found.
  const isLookedUp = hot == null && archived && orderId !== ''
  const [ended = null, tombstone = null] = isLookedUp
    ? await redis.mget(archiveKey(userId, orderId), tombstoneKey(userId, orderId))
    : []
  // An erased connection may keep its account until it is forgotten; older workers do not list the
  // accounts.
  const others = new Set([...accountsIn(listed), ...connectionIdsIn(controls)])
  others.delete(connectionId)
  return {
    at: { orderId, connectionId, symbol },
    version: version ?? '0',
    slice: {
      order: readRecord(orderRecord, names[0], hot ?? ended),
      position: readRecord(positionRecord, names[1], position),
      account: readRecord(accountRecord, names[2], account),
    },
    isArchived: ended !== null,
    claim: claim ?? null,
    cancelMark: readRecord(cancelMarkRecord, names[3], mark),
    tombstone: ended === null && tombstone !== null ? readTombstone(tombstone) : null,
    cashElsewhere:
      others.size === 0 ? null : cashOf(await readAccounts(redis, userId, [...others])),
  }
}

/**
 * Reads the accounts. This reading may be later than the one before: then the version has moved,
 * and a commit that is decided from both readings is refused.
 */
async function readAccounts(
  redis: Redis,
  userId: string,
  connectionIds: readonly string[],
): Promise<Account[]> {
  const names = connectionIds.map(field.account)
  const texts = await redis.hmget(stateKey(userId), ...names)
  return texts.flatMap((text, index) => {
    const account = readRecord(accountRecord, names[index] ?? '', text)
    return account === null ? [] : [account]
  })
}

/** `null`: there are no accounts. */
export const cashOf = (accounts: readonly Account[]): Decimal | null =>
  accounts.length === 0 ? null : sum(accounts.map(({ cash }) => cash))
