import { describe, expect, test } from 'vitest'
import { clientOrderIdOf } from '#domain'
import { orderOf, System, told } from './stage.ts'

const slow = { timeout: 60_000, interval: 50 }

describe('kill -9', () => {
  test(
    'right after the POST left - one order, one trade.submitted, one trade.filled',
    { timeout: 90_000 },
    async () => {
      await using system = await System.open('alice')
      const client = await system.client('alice')
      system.sandbox.control.holdAnswers({ count: 1 })
      await system.producer.submitOrder(orderOf())
      await expect.poll(() => system.sandbox.control.heldAnswers(), slow).toBe(1)
      await system.killWorkers()
      system.sandbox.control.dropAnswers()
      await system.startWorkers()
      await expect
        .poll(() => told(client), slow)
        .toEqual(expect.arrayContaining(['trade.filled', 'portfolio.balanceChanged']))
      // The queue gives the job out again once the dead worker's lock has run out; it must find
      // nothing left to do.
      const queue = system.queue('orders')
      await expect
        .poll(() => queue.getJobCounts('active', 'wait', 'delayed'), slow)
        .toEqual({ active: 0, wait: 0, delayed: 0 })
      expect(told(client)).toEqual([
        'trade.submitted',
        'trade.filled',
        'portfolio.positionAdded',
        'portfolio.balanceChanged',
      ])
      const { orders } = system.sandbox.control.ledger('demo-key').accounts['demo-key']!
      expect(orders.map((order) => order['client_order_id'])).toEqual([
        clientOrderIdOf('alice', 't1'),
      ])
    },
  )
})
