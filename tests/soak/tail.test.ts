import { expect, test } from 'vitest'
import type { LogEntry, Reader } from '#store'
import { LogTail } from './tail.ts'

const id = (n: number): string => `170000000000${n}-00000`
const entry = (n: number, prev: number | null): LogEntry => ({
  id: id(n),
  prev: prev === null ? '0000000000000-00000' : id(prev),
  event: 'trade.submitted',
  payload: {},
})

/** A log as the test sets it. */
function tailOf(log: LogEntry[]) {
  const reader: Pick<Reader, 'events'> = {
    events: async (_user, after) => ({
      entries: log.filter((one) => one.id > after),
      top: log.at(-1)?.id ?? '0000000000000-00000',
    }),
  }
  return new LogTail(reader as Reader, ['u1'])
}
const names = (tail: LogTail): string[] => (tail.entries.get('u1') ?? []).map((one) => one.id)

test('events that Redis lost are taken back, with later events or without', async () => {
  const log = [entry(1, null), entry(2, 1), entry(3, 2)]
  const tail = tailOf(log)
  await tail.catchUp()
  log.length = 2
  await tail.catchUp()
  expect([names(tail), tail.takenBack, tail.holes]).toEqual([[id(1), id(2)], 1, 0])
  log.length = 1
  log.push(entry(4, 1))
  await tail.catchUp()
  expect([names(tail), tail.takenBack, tail.holes]).toEqual([[id(1), id(4)], 2, 0])
})

test('a break in the chain that no loss explains is a hole', async () => {
  const log = [entry(1, null)]
  const tail = tailOf(log)
  await tail.catchUp()
  log.push(entry(4, 3))
  await tail.catchUp()
  expect([tail.takenBack, tail.holes]).toEqual([0, 1])
})
