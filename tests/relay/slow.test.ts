import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { LoggedEvent } from '#contract'
import { notice, numbers, signed, Stage } from './harness.ts'

const large = (n: number): LoggedEvent => {
  const { event, payload } = notice(n) as Extract<LoggedEvent, { event: 'broker.connected' }>
  return { event, payload: { ...payload, filler: 'x'.repeat(10_000) } }
}
const counts = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

describe('a client that stops reading', () => {
  test('is cut, delays no other client, and resumes without loss', async () => {
    await using stage = await Stage.open()
    const token = await signed()
    const ws = new WebSocket(
      `${stage.relay.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket&token=${token}`,
    )
    const texts: string[] = []
    ws.on('message', (data: Buffer) => texts.push(data.toString()))
    ws.once('message', () => ws.send('40{"lastEventId":""}'))
    ws.on('error', () => {})
    await expect.poll(() => texts.join()).toContain('connection.authorized')
    const from = await stage.tell('alice', notice(0))
    await expect.poll(() => texts.join()).toContain('"b0"')
    ws.pause()
    const other = await stage.authorized({ auth: { token, lastEventId: from } })
    for (let n = 1; n <= 900; n += 100) await stage.tell('alice', ...counts(n, n + 99).map(large))
    await expect.poll(() => numbers(other), { timeout: 15_000 }).toEqual(counts(1, 900))
    await expect.poll(() => stage.rejected('slow'), { timeout: 10_000 }).toBe(1)
    ws.terminate()
    const back = await stage.authorized({ auth: { token, lastEventId: from } })
    await expect.poll(() => numbers(back), { timeout: 15_000 }).toEqual(counts(1, 900))
    expect(back.names()).not.toContain('state.resync')
  })
})
