import { describe, expect, test } from 'vitest'
import { orderOf, System, told, type WorkerProcess } from './stage.ts'

const slow = { timeout: 60_000, interval: 50 }

/** The last word of a worker about a user's connection. */
const holds = ({ lines }: WorkerProcess, userId: string): boolean =>
  lines
    .filter(
      (line) => line.includes(`"userId":"${userId}"`) && /owner\.lease_(taken|given_up)/.test(line),
    )
    .at(-1)
    ?.includes('lease_taken') === true

describe('two workers', () => {
  test(
    'share the connections; one takes over within ten seconds of a kill -9',
    { timeout: 120_000 },
    async () => {
      await using system = await System.open('alice', 'bob')
      const client = await system.client('alice')
      await system.startWorkers()
      const owners = (userId: string): WorkerProcess[] =>
        system.workers.filter((worker) => holds(worker, userId))
      await expect
        .poll(() => ['alice', 'bob'].map((userId) => owners(userId).length), slow)
        .toEqual([1, 1])
      await expect.poll(() => owners('alice')[0] !== owners('bob')[0], slow).toBe(true)

      await system.producer.submitOrder(
        orderOf({ orderType: 'limit', limitPrice: '1', timeInForce: 'gtc' }),
      )
      await expect.poll(() => told(client), slow).toEqual(['trade.submitted'])
      await expect.poll(() => owners('alice').length, slow).toBe(1)
      const [owner] = owners('alice')
      if (owner === undefined) throw new Error('nobody owns the connection')
      const killedMs = performance.now()
      await system.killWorkers(owner)
      await expect.poll(() => owners('alice').length, slow).toBe(1)
      expect(performance.now() - killedMs).toBeLessThan(10_000)

      const [order] = system.sandbox.control.ledger('demo-key').accounts['demo-key']!.orders
      system.sandbox.control.fillOrder(String(order!['id']), { price: '1' })
      await expect.poll(() => told(client), slow).toContain('trade.filled')
      expect(told(client).filter((event) => event === 'trade.submitted')).toHaveLength(1)
    },
  )
})
