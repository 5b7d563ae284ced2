import { describe, expect, test } from 'vitest'
import { clientOrderIdOf } from '#domain'
import { createReader, createStore } from '#store'
import { orderOf, System } from './stage.ts'

const slow = { timeout: 60_000, interval: 100 }

describe('RDQ-05 FLUSHALL', () => {
  test(
    'RDQ-05 workers survive it - no order twice, state equals ledger, one resync',
    { timeout: 120_000 },
    async () => {
      await using system = await System.open('alice')
      const client = await system.client('alice')
      await system.producer.submitOrder(orderOf({ tradeId: 'filled' }))
      await system.producer.submitOrder(
        orderOf({ tradeId: 'resting', orderType: 'limit', limitPrice: '1' }),
      )
      await expect
        .poll(() => client.names().filter((name) => name === 'trade.submitted'), slow)
        .toHaveLength(2)
      await expect.poll(() => client.names(), slow).toContain('trade.filled')
      const redis = system.redis.connect()
      await redis.flushall()
      client.socket.emit('state.requestSync', {})
      await expect
        .poll(() => system.workerLines.some((line) => line.includes('store.restored')), slow)
        .toBe(true)
      const reader = createReader(system.redis.connect())
      await expect.poll(async () => (await reader.snapshot('alice')).accounts.length, slow).toBe(1)

      // The trade API repeats each trade without an answer; one of these is new.
      for (const tradeId of ['filled', 'resting', 'later']) {
        const terms =
          tradeId === 'resting' ? ({ orderType: 'limit', limitPrice: '1' } as const) : {}
        await system.producer.submitOrder(orderOf({ tradeId, ...terms }))
      }
      await expect
        .poll(async () => (await reader.order('alice', 'later'))?.status, slow)
        .toBe('filled')
      const { orders } = system.sandbox.control.ledger('demo-key').accounts['demo-key']!
      const ids = ['filled', 'resting', 'later'].map((tradeId) => clientOrderIdOf('alice', tradeId))
      expect(orders.map((order) => order['client_order_id']).sort()).toEqual(ids.sort())
      const { positions, orders: records } = await createStore(redis).loadConnection(
        'alice',
        'broker_alice',
      )
      expect([...positions.values()].map(({ symbol, quantity }) => [symbol, quantity])).toEqual([
        ['AAPL', '20'],
      ])
      expect(records.map(({ id, status }) => [id, status]).sort()).toEqual([
        ['filled', 'filled'],
        ['later', 'filled'],
        ['resting', 'submitted'],
      ])
      await expect.poll(() => client.names(), slow).toContain('state.sync')
      expect(client.names().filter((name) => name === 'state.resync')).toHaveLength(1)
      const synced = client.heard.flatMap(([name, { portfolio }]) =>
        name === 'state.sync' ? [portfolio] : [],
      )
      for (const portfolio of synced)
        expect(portfolio).toMatchObject({ accounts: [expect.anything()] })
    },
  )
})
