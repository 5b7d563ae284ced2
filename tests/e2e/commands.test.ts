import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { orderOf, System, told } from './stage.ts'

let system: System
beforeAll(async () => {
  system = await System.open('alice')
})
afterAll(() => system[Symbol.asyncDispose]())

const slow = { timeout: 30_000, interval: 50 }
const of = { userId: 'alice', connectionId: 'broker_alice' }
const order = (tradeId: string) => system.producer.orders.get('alice', tradeId)

describe('commands on the real parts', () => {
  test('a resting order is replaced, then every order is canceled', async () => {
    const client = await system.client('alice')
    await system.producer.submitOrder(
      orderOf({ tradeId: 'r', symbol: 'NVDA', orderType: 'limit', limitPrice: '1' }),
    )
    await expect.poll(() => told(client), slow).toEqual(['trade.submitted'])
    await system.producer.replaceOrder({
      ...of,
      tradeId: 'r',
      commandId: 'c1',
      limitPrice: '1.5',
      quantity: '7',
    })
    await expect.poll(() => told(client), slow).toEqual(['trade.submitted', 'trade.replaced'])
    await expect
      .poll(async () => (await order('r'))?.replaceResults, slow)
      .toMatchObject([{ outcome: 'replaced' }])
    expect(await order('r')).toMatchObject({
      limitPrice: '1.5',
      quantity: '7',
      status: 'submitted',
    })
    await system.producer.cancelAll({ ...of, commandId: 'c2' })
    await expect.poll(() => told(client).at(-1), slow).toBe('trade.cancelled')
  })

  test('a bracket has its exits and its stop, and a command closes its position', async () => {
    const exits = { takeProfit: { limitPrice: '5000' }, stopLoss: { stopPrice: '1' } }
    const bracket = orderOf({
      tradeId: 'b',
      symbol: 'AAPL',
      quantity: '4',
      orderClass: 'bracket',
      timeInForce: 'gtc',
      ...exits,
    })
    await system.producer.submitOrder(bracket)
    await expect.poll(async () => (await order('b'))?.status, slow).toBe('filled')
    await expect
      .poll(async () => (await order('b'))?.placements.map(({ leg }) => leg).sort(), slow)
      .toEqual(['entry', 'stopLoss', 'takeProfit'])
    await system.producer.cancelOrder({ ...of, tradeId: 'b', commandId: 'c3' })
    const isOver = async () => (await order('b'))?.placements.every(({ final }) => final !== null)
    await expect.poll(isOver, slow).toBe(true)
    await system.producer.closePosition({ ...of, tradeId: 'x', commandId: 'c4', symbol: 'AAPL' })
    await expect.poll(async () => (await order('x'))?.status, slow).toBe('filled')
    expect(await order('x')).toMatchObject({ side: 'sell', quantity: '4' })
  })
})
