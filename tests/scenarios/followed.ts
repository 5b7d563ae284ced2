import { afterEach } from 'vitest'
import { isZero, type Position } from '#domain'
import { submitOrder } from '../../workers/orders/submit.ts'
import type { LeaseDeps } from '../../workers/accounts/lease.ts'
import { intentOf } from '../domain/orders.ts'
import { settle } from '../support/fake-clock.ts'
import { makeWorker, ref } from '../workers/harness.ts'

/**
 * One worker that follows one account on a virtual clock, and how its state compares with the
 * broker's books.
 */
export async function follow({ startMs, ...over }: Partial<LeaseDeps> & { startMs?: number } = {}) {
  const worker = makeWorker(startMs)
  worker.broker.isOpen = true
  const owner = worker.own(over)
  await settle()
  return { ...worker, owner, ...lookAt(worker) }
}

export type Followed = Awaited<ReturnType<typeof follow>>

/** `follow` for the tests of a suite: the owners of a test are closed after the test. */
export function following(): typeof follow {
  const open: Followed[] = []
  afterEach(async () => {
    for (const { owner, advance } of open.splice(0)) {
      const closed = owner.close()
      await advance(10_000)
      await closed
    }
  })
  return async (over) => {
    const followed = await follow(over)
    open.push(followed)
    return followed
  }
}

function lookAt(worker: ReturnType<typeof makeWorker>) {
  const { store, broker, submit, run, clock } = worker
  const recordOf = async (orderId: string) =>
    (await store.loadSlice(ref.userId, { orderId, connectionId: ref.connectionId, symbol: '' }))
      .slice.order
  return {
    recordOf,
    /** Names of the events since the account was adopted. */
    told: (): string[] =>
      worker.events().filter((event) => event !== 'state.resync' && event !== 'broker.connected'),
    async place(over: Parameters<typeof intentOf>[0] = {}): Promise<void> {
      await submitOrder(submit, intentOf(over), run)
      await settle()
    },
    /** The differences from the books of the broker; empty if all is correct. */
    async differences(): Promise<string[]> {
      const { account, positions, orders } = await store.loadConnection(
        ref.userId,
        ref.connectionId,
      )
      const { cash, positions: theirs } = broker.ledger.books
      const symbols = new Set([...positions.keys(), ...theirs.keys()])
      const quantity = (held: Pick<Position, 'quantity'> | undefined): string =>
        held?.quantity ?? '0'
      const booked = new Map(
        orders.flatMap(({ placements }) =>
          placements.map((one) => [one.brokerOrderId, one.cumulativeQuantity]),
        ),
      )
      return [
        ...(account?.cash === cash ? [] : [`cash ${account?.cash} is ${cash}`]),
        ...[...symbols].flatMap((symbol) =>
          quantity(positions.get(symbol)) === quantity(theirs.get(symbol))
            ? []
            : [`holding of ${symbol}`],
        ),
        ...[...broker.orders.values()].flatMap(({ brokerOrderId, filledQuantity }) =>
          (booked.get(brokerOrderId) ?? '0') === filledQuantity || isZero(filledQuantity)
            ? []
            : [`${brokerOrderId} has ${booked.get(brokerOrderId)}`],
        ),
      ]
    },
    advance: (byMs: number): Promise<void> => clock.advance(byMs),
  }
}
