import { expect, test } from 'vitest'
import { orderOf, System, told } from './stage.ts'

const slow = { timeout: 30_000, interval: 100 }

test(
  'workers show halts and paused queues in /readyz and metrics, and stay ready',
  { timeout: 120_000 },
  async () => {
    await using system = await System.open('alice')
    const { probePort } = JSON.parse(
      system.workerLines.find((line) => line.includes('workers.ready')) ?? '{}',
    ) as {
      probePort: number
    }
    const read = async (path: string): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${probePort}/${path}`)
      expect(response.status).toBe(200)
      return response.text()
    }
    expect(await read('readyz')).toBe('ready\n')
    expect(await read('metrics')).toContain('fillcast_halts{scope="global"} 0')
    await system.producer.halt({ userId: 'alice', by: 'ops', reason: 'drill' })
    await system.queue('commands').pause()
    await expect
      .poll(() => read('readyz'), slow)
      .toBe(
        'ready\n' +
          'halted: user alice, nothing is sent, by ops: drill\n' +
          'paused: the queue commands gives no jobs out; resume it on the dashboard\n',
      )
    const metrics = await read('metrics')
    for (const line of [
      'fillcast_halts{scope="user"} 1',
      'fillcast_queue_paused{queue="commands"} 1',
      'fillcast_queue_paused{queue="orders"} 0',
    ])
      expect(metrics).toContain(line)
    const skew = Number(/^fillcast_clock_skew_seconds (.*)$/m.exec(metrics)?.[1])
    expect(Math.abs(skew)).toBeLessThan(1)
    await system.queue('commands').resume()
    await system.producer.resume({ userId: 'alice' })
    await expect.poll(() => read('readyz'), slow).toBe('ready\n')
    const logged = ['halt.stands', 'halt.ended', 'queue.paused', 'queue.resumed']
    for (const event of logged)
      expect(system.workerLines.filter((line) => line.includes(event))).toHaveLength(1)
  },
)

test(
  'a limit on the value of an order holds for a symbol without watchers',
  { timeout: 120_000 },
  async () => {
    await using system = await System.open('alice')
    system.sandbox.control.setPrice('F', { bid: '99.9', ask: '100', last: '100' })
    await system.producer.limits.set({ userId: 'alice' }, { orderNotionalMax: '600' })
    // Workers read limits and halts together, within a second.
    await system.producer.halt({ userId: 'alice', by: 'ops', reason: 'until the limit is read' })
    await expect
      .poll(() => system.workerLines.some((line) => line.includes('halt.stands')), slow)
      .toBe(true)
    await system.producer.resume({ userId: 'alice' })
    const client = await system.client('alice')
    await system.producer.submitOrder(orderOf({ tradeId: 'large', symbol: 'F', quantity: '50' }))
    await expect.poll(() => told(client), slow).toEqual(['trade.rejected'])
    const rejected = client.heard.find(([name]) => name === 'trade.rejected')
    expect(rejected?.[1]).toMatchObject({ tradeId: 'large', code: 'ORDER_TOO_LARGE' })
    await system.producer.submitOrder(orderOf({ tradeId: 'small', symbol: 'F', quantity: '6' }))
    await expect.poll(() => told(client), slow).toContain('trade.filled')
  },
)
