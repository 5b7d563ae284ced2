import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { newAccount } from '../../src/apps/sandbox/broker/account.ts'
import { decimal } from '../../src/apps/sandbox/broker/decimals.ts'
import { createEventLog } from '../../src/apps/sandbox/streams/event-log.ts'
import { streamEvents } from '../../src/apps/sandbox/streams/event-stream.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** Event streams over HTTP whose readers fall behind. */

describe('slow readers', () => {
  const account = newAccount({
    id: 'a',
    number: 'n',
    createdAt: '',
    cash: decimal(1),
    multiplier: 1,
  })
  const event = (number: number) => ({
    id: String(number).padStart(6, '0'),
    at: '',
    json: String(number),
  })

  test('a reader 10,000 events behind gets the number of lost events, then continues', async () => {
    const log = createEventLog()
    const slow = new PassThrough({ highWaterMark: 1_000 })
    streamEvents(slow, log.of(account, 'trades'), new FakeClock(), {})
    for (let number = 0; number < 12_000; number += 1) log.append(account, 'trades', event(number))
    expect(slow.writableLength + slow.readableLength).toBeLessThan(3_000)
    let heard = ''
    slow.on('data', (chunk: Buffer) => (heard += chunk.toString()))
    await expect.poll(() => heard).toMatch(/data: 11999\n\n$/)
    const lost = Number(/: you are reading too slowly, dropped (\d+) messages\n\n/.exec(heard)?.[1])
    expect(lost).toBeGreaterThan(10_000)
    expect(heard.match(/^data: /gm)).toHaveLength(12_000 - lost)
  })

  test('a range ends though its timer fires a moment early', async () => {
    class EarlyClock extends FakeClock {
      override after(delayMs: number, run: () => void) {
        return super.after(delayMs > 5 ? delayMs - 2 : delayMs, run)
      }
    }
    const early = new EarlyClock()
    const reader = new PassThrough()
    const until = { timeMs: early.now() + 60_000, isPast: () => false }
    streamEvents(reader, createEventLog().of(account, 'trades'), early, { until })
    await early.advance(60_000)
    expect(reader.writableEnded).toBe(false)
    await early.advance(1)
    expect(reader.writableEnded).toBe(true)
  })

  test('history is never dropped: a slow reader gets all of it, at its own speed', async () => {
    const log = createEventLog()
    for (let number = 0; number < 15_000; number += 1) log.append(account, 'trades', event(number))
    const slow = new PassThrough({ highWaterMark: 1_000 })
    streamEvents(slow, log.of(account, 'trades'), new FakeClock(), {
      isInRange: () => true,
      until: { timeMs: 0, isPast: ({ id }) => id > '014999' },
    })
    log.append(account, 'trades', event(15_000))
    let heard = ''
    slow.on('data', (chunk: Buffer) => (heard += chunk.toString()))
    await once(slow, 'end')
    expect(heard.match(/^data: /gm)).toHaveLength(15_000)
    expect(heard).not.toContain('dropped')
  })

  test('the log drops the oldest events of all accounts, and counts them', () => {
    const log = createEventLog(3)
    const other = newAccount({
      id: 'b',
      number: 'n',
      createdAt: '',
      cash: decimal(1),
      multiplier: 1,
    })
    for (const owner of [account, other, account, account, account])
      log.append(owner, 'trades', event(1))
    expect(log.of(other, 'trades')).toMatchObject({ first: 1, events: [] })
    expect(log.of(account, 'trades')).toMatchObject({ first: 1, events: { length: 3 } })
  })
})
