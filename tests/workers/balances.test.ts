import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { serverEvents, stateSyncOf } from '#contract'
import { adopt, dec } from '#domain'
import { applyUpdate } from '../../workers/state/write.ts'
import {
  brokerOrder,
  claimed,
  executionOf,
  intentOf,
  orderKey,
  readingOf,
  seen,
} from '../domain/orders.ts'
import { makeWorker, ref } from './harness.ts'

// A client of the contract shows one cash figure: the cash of `state.sync`, then each `newBalance`.

const SYMBOL = 'AAPL'

/**
 * A user with as many accounts, each with 1,000 in cash and an order of 1,000 shares on its way.
 */
async function withAccounts(count: number) {
  const { store, writer } = makeWorker()
  const connectionIds = Array.from({ length: count }, (_, n) => `broker_${n + 1}`)
  for (const connectionId of connectionIds) {
    store.link({ ...ref, connectionId })
    const { account } = adopt(connectionId, readingOf({ cash: dec('1000') }))
    await store.commit(ref.userId, {
      expectVersion: await store.version(ref.userId),
      fence: { kind: 'version' },
      writes: [{ kind: 'account', account }],
      events: [],
    })
  }
  const targetOf = (connectionId: string) => ({
    orderKey: { ...orderKey, id: `of-${connectionId}`, connectionId },
    symbol: SYMBOL,
    fence: { kind: 'version' } as const,
  })
  const filled = new Map<string, number>()
  for (const connectionId of connectionIds) {
    const intent = intentOf({ tradeId: `of-${connectionId}`, connectionId, quantity: dec('1000') })
    await applyUpdate(writer, targetOf(connectionId), claimed(intent))
    const over = { brokerOrderId: `b-${connectionId}`, quantity: dec('1000') }
    await applyUpdate(writer, targetOf(connectionId), seen(brokerOrder('new', '0', 1, over)))
  }
  /** One more share fills at `price`. */
  const fill = async (connectionId: string, price: string): Promise<void> => {
    const total = (filled.get(connectionId) ?? 0) + 1
    filled.set(connectionId, total)
    const over = { brokerOrderId: `b-${connectionId}`, quantity: dec('1000') }
    const order = brokerOrder('partially_filled', String(total), 1 + total, over)
    const update = seen(order, executionOf('1', price, String(total), 1 + total))
    await applyUpdate(writer, targetOf(connectionId), update)
  }
  const told = () =>
    store
      .log(ref.userId)
      .flatMap(({ event, payload }) =>
        event === 'portfolio.balanceChanged' ? [serverEvents[event].schema.parse(payload)] : [],
      )
  const synced = (): number | undefined => {
    const accounts = connectionIds.flatMap((id) => store.accountOf(ref.userId, id) ?? [])
    const snapshot = {
      lastEventId: store.lastEventId(ref.userId),
      orders: [],
      positions: [],
      accounts,
    }
    return stateSyncOf(snapshot, undefined, '2024-03-15T14:00:00.000Z').portfolio?.cashBalance
  }
  return { connectionIds, store, fill, told, synced }
}

describe('a reported balance', () => {
  test('with one account is that of the account, without a connection balance', async () => {
    const { fill, told } = await withAccounts(1)
    await fill('broker_1', '10')
    expect(told()).toMatchObject([
      { oldBalance: 1_000, newBalance: 990, change: -10, brokerConnectionId: 'broker_1' },
    ])
    expect(told()[0]).not.toHaveProperty('connectionBalance')
  })

  test('with several is the cash of all of them, with the balance of the one beside it', async () => {
    const { fill, told } = await withAccounts(3)
    await fill('broker_1', '10')
    await fill('broker_2', '1')
    expect(told()).toMatchObject([
      {
        oldBalance: 3_000,
        newBalance: 2_990,
        change: -10,
        brokerConnectionId: 'broker_1',
        connectionBalance: 990,
      },
      {
        oldBalance: 2_990,
        newBalance: 2_989,
        change: -1,
        brokerConnectionId: 'broker_2',
        connectionBalance: 999,
      },
    ])
  })

  test('continues the previous one and equals state.sync, for a change in any account', async () => {
    const fills = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 99 })),
      { maxLength: 30 },
    )
    await fc.assert(
      fc.asyncProperty(fills, async (steps) => {
        const { fill, told, synced } = await withAccounts(3)
        for (const [account, price] of steps) {
          await fill(`broker_${account}`, String(price))
          expect(told().at(-1)?.newBalance).toBe(synced())
        }
        told().reduce((before, { oldBalance, newBalance }) => {
          expect(oldBalance).toBe(before)
          return newBalance
        }, 3_000)
      }),
      { numRuns: 30 },
    )
  })
})
