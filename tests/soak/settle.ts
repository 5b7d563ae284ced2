import { setTimeout as pause } from 'node:timers/promises'
import { createReader, createStore, type Reader, type Store } from '#store'
import { isIndexed } from '../../src/store/open-index.ts'
import { connectionOf, type Ground, keyOf } from '../support/ground.ts'
import { emptyVerdict, judge, type Verdict } from './judge.ts'
import type { LogTail } from './tail.ts'

/** How long state may take to agree with the ledger once nothing fails any more. */
const SETTLE_MS_MAX = 240_000
const LOOK_MS = 2_000
const SHOWN_MAX = 20

/** Compares the broker's ledger, our state and the clients' events, user by user. */
async function judgeAll(
  ground: Ground,
  store: Store,
  reader: Reader,
  tail: LogTail,
): Promise<Verdict> {
  await tail.catchUp()
  const ledger = await ground.ledger()
  const verdict = emptyVerdict()
  for (const [n, userId] of ground.users.entries()) {
    const account = ledger.accounts[keyOf(n)]
    if (account === undefined) throw new Error(`the ledger has no account of ${userId}`)
    const open = await reader.snapshot(userId)
    const all = await store.loadConnection(userId, connectionOf(userId))
    const snapshot = { ...open, orders: all.orders }
    judge(
      { userId, ledger: account, snapshot, archived: [], told: tail.entries.get(userId) ?? [] },
      verdict,
    )
    const isSame = open.orders.length === all.orders.filter(isIndexed).length
    if (open.version === all.version && !isSame)
      verdict.differences.push(`the open orders of ${userId} are not all shown`)
  }
  if (tail.holes > 0) verdict.differences.push(`${tail.holes} breaks in the chain of event ids`)
  return verdict
}

/**
 * Compares until everything agrees, or `SETTLE_MS_MAX` have passed since this was called, which is
 * once nothing fails any more.
 */
export async function settle(
  ground: Ground,
  tail: LogTail,
): Promise<{ verdict: Verdict; settledMs: number }> {
  const redis = ground.redis.connect()
  const store = createStore(redis)
  const reader = createReader(redis)
  const quietMs = performance.now()
  let verdict = await judgeAll(ground, store, reader, tail)
  while (!isClean(verdict) && performance.now() - quietMs < SETTLE_MS_MAX) {
    await pause(LOOK_MS)
    verdict = await judgeAll(ground, store, reader, tail)
  }
  return { verdict, settledMs: performance.now() - quietMs }
}

export const isClean = ({
  differences,
  duplicateOrders,
  missingFills,
  repeatedFills,
}: Verdict): boolean => differences.length + duplicateOrders + missingFills + repeatedFills === 0

export const inWords = ({
  differences,
  duplicateOrders,
  missingFills,
  repeatedFills,
}: Verdict): string =>
  `${differences.length} differences, ${duplicateOrders} duplicate orders, ` +
  `${missingFills} missing fills, ${repeatedFills} repeated fills`

/** The first findings, as text. */
export const findings = ({ differences, fills }: Verdict): string[] =>
  [...differences, ...fills].slice(0, SHOWN_MAX)
