import { expect, test } from 'vitest'
import { EVENT_ID_ZERO } from '#contract'
import { type Clock, createLogger, Metrics, systemClock } from '#runtime'
import type { LogEntry, Reader, UnreadReason } from '#store'
import { Outage } from '#transport'
import { createRelayMetrics } from '../../relay/context.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { EventSink, Logged } from '../../relay/event-sink.ts'
import { UserStream } from '../../relay/user-stream.ts'

const idOf = (n: number): string =>
  n === 0 ? EVENT_ID_ZERO : `16000${String(n).padStart(8, '0')}-00000`
const numberOf = (id: string): number => Number(id.slice(5, 13))
const entryOf = (n: number): LogEntry => ({
  id: idOf(n),
  prev: idOf(n - 1),
  event: 'broker.connected',
  payload: n,
})
const liveOf = (n: number): Logged => {
  const { id, prev, event, payload } = entryOf(n)
  return { event, payload, meta: { id, prev } }
}

/**
 * A log in memory. The result of a read is fixed when the read begins, and returned when `answer`
 * is called.
 */
function memoryLog() {
  const log: LogEntry[] = []
  const answers: (() => void)[] = []
  const top = (): string => log.at(-1)?.id ?? EVENT_ID_ZERO
  const snapshot: Reader['snapshot'] = async () => ({
    version: '1',
    lastEventId: top(),
    orders: [],
    positions: [],
    accounts: [],
  })
  const reader: Reader = {
    top: async () => top(),
    order: async () => null,
    parked: async () => null,
    tombstone: async () => null,
    snapshot,
    figures: async (userId) => ({ snapshot: await snapshot(userId), unread: null }),
    events: (_userId, afterId, limit) => {
      const page = { top: top(), entries: log.filter(({ id }) => id > afterId).slice(0, limit) }
      return new Promise((resolve) => answers.push(() => resolve(page)))
    },
  }
  return { log, reader, reads: () => answers.length, answer: () => answers.shift()?.() }
}

function open(clock: Clock = systemClock, { log, ...memory } = memoryLog()) {
  const heard: unknown[] = []
  const outlet: EventSink = {
    isOpen: () => true,
    isBehind: () => false,
    tell: (event, payload, at) => {
      if (at === undefined) return void heard.push(event)
      const isWhole = ['portfolio', 'positions', 'pendingTrades'].every((part) => part in payload)
      heard.push(`${isWhole ? '' : 'part of '}${event} ${numberOf(at.id)}`)
    },
    deliver: ({ payload }) => heard.push(payload),
  }
  const metrics = createRelayMetrics(new Metrics(false))
  const silent = createLogger('test', 'silent')
  const outage = new Outage(clock, silent)
  const deps = { reader: memory.reader, clock, log: silent, outage, metrics }
  return { ...memory, log, heard, stream: new UserStream(deps, 'alice', outlet) }
}

/** Lets each step run that needs no answer. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a check of the log skips a stream that has no place yet', async () => {
  const { stream, log, heard, reads, answer } = open()
  log.push(entryOf(1))
  await stream.check()
  expect([reads(), heard]).toEqual([0, []])
  const started = stream.start(idOf(0), () => heard.push('placed'))
  await settled()
  answer()
  await started
  expect(heard).toEqual(['placed', 1])
})

test('an event during a second read of the log waits for the read', async () => {
  const { stream, log, heard, reads, answer } = open()
  const started = stream.start('', () => {})
  await settled()
  answer()
  await started
  void stream.check()
  log.push(entryOf(1), entryOf(2))
  stream.receive(liveOf(2)) // the first is missing: a step of its own, behind the look
  await settled()
  answer() // the look sends both, and would open the gate for good
  await settled()
  expect(reads()).toBe(1)
  log.push(entryOf(3))
  stream.receive(liveOf(3))
  answer()
  await settled()
  while (reads() > 0) {
    answer()
    await settled()
  }
  expect(heard).toEqual([1, 2, 3])
})

test('a check during another check runs after it', async () => {
  const { stream, log, heard, reads, answer } = open()
  const started = stream.start('', () => {})
  await settled()
  answer()
  await started
  void stream.check()
  await settled()
  log.push(entryOf(1)) // committed after the first check has read, and not published
  void stream.check()
  answer()
  await settled()
  expect(reads()).toBe(1)
  answer()
  await settled()
  expect(heard).toEqual([1])
})

test('more live events than the gate holds, during a read, all arrive once, in order', async () => {
  const { stream, log, heard, reads, answer } = open()
  const started = stream.start('', () => {})
  await settled()
  answer()
  await started
  log.push(entryOf(1), entryOf(2))
  stream.receive(liveOf(2)) // the first is missing, and the reading of it is held
  await settled()
  for (let n = 3; n <= 1_502; n += 1) {
    log.push(entryOf(n))
    stream.receive(liveOf(n))
  }
  while (reads() > 0) {
    answer()
    await settled()
  }
  expect(heard).toEqual(Array.from({ length: 1_502 }, (_, n) => n + 1))
})

test('a store that forgot a user with events is believed after a minute', async () => {
  const clock = new FakeClock()
  const memory = memoryLog()
  const empty = { version: '0', lastEventId: idOf(0), orders: [], positions: [], accounts: [] }
  memory.reader.figures = async () => ({ snapshot: empty, unread: null })
  memory.reader.events = async () => ({ top: idOf(0), entries: [] })
  const { stream, heard } = open(clock, memory)
  await stream.start(idOf(7), () => {})
  await clock.advance(50_000)
  expect(heard).toEqual(['state.resync'])
  await clock.advance(20_000)
  expect(heard).toEqual(['state.resync', 'state.sync 0'])
})

test('a part requested before the place is known comes whole, behind the resync', async () => {
  const memory = memoryLog()
  memory.reader.events = async () => ({ top: idOf(0), entries: [] })
  const { stream, heard } = open(systemClock, memory)
  const asked = stream.sync(['positions'])
  void stream.start('no id', () => heard.push('placed'))
  expect(await asked).toBe('sent')
  await settled()
  expect(heard).toEqual(['placed', 'state.resync', 'state.sync 0'])
})

test('a part requested before an account was read comes whole, behind the resync', async () => {
  const clock = new FakeClock()
  const memory = memoryLog()
  memory.reader.events = async () => ({ top: idOf(0), entries: [] })
  let unread: UnreadReason | null = 'account_unread'
  memory.reader.figures = async (userId) => ({
    snapshot: await memory.reader.snapshot(userId),
    unread,
  })
  const { stream, heard } = open(clock, memory)
  await stream.start(undefined, () => {})
  expect(await stream.sync(['positions'])).toBe('owed')
  unread = null
  await clock.advance(10_000)
  expect(heard).toEqual(['state.resync', 'state.sync 0'])
})

const resyncOf = (n: number): LogEntry => ({ ...entryOf(n), event: 'state.resync' })
/** The entry after the n-th entry once all entries between them are lost. */
const goingOnFrom = (n: number): LogEntry => ({ ...entryOf(9), prev: idOf(n) })

test.each([
  ['its end', { log: [1, 2, 3], at: 1, left: [1, 2] }, [2, 'state.sync 2']],
  [
    'its end, and it went on',
    { log: [1, 2, 3], at: 1, left: [1, 2, goingOnFrom(2)] },
    [2, 9, 'state.sync 9'],
  ],
  [
    'the events that the client got',
    { log: [1, 2, 3], at: 2, left: [1] },
    ['state.resync', 'state.sync 1'],
  ],
  [
    'the events that the client got, and went on',
    { log: [1, 2, 3], at: 2, left: [1, goingOnFrom(1)] },
    ['state.resync', 'state.sync 9'],
  ],
  [
    'its end behind a resync',
    { log: [1, resyncOf(2), 3], at: 1, left: [1, resyncOf(2)] },
    ['state.resync', 'state.sync 2'],
  ],
])(
  'figures read before the log lost %s are never shown',
  async (_what, { log, at, left }, told) => {
    const memory = memoryLog()
    const entriesOf = (of: readonly (number | LogEntry)[]) =>
      of.map((one) => (typeof one === 'number' ? entryOf(one) : one))
    const asIs = { ...memory.reader }
    memory.reader.events = (...asked) => {
      const page = asIs.events(...asked)
      memory.answer()
      return page
    }
    const { stream, heard, log: stored } = open(systemClock, memory)
    stored.push(...entriesOf(log.slice(0, at)))
    await stream.start('', () => {})
    stored.push(...entriesOf(log.slice(at)))
    let isLost = false
    memory.reader.figures = async (userId) => {
      const read = await asIs.figures(userId)
      if (!isLost) stored.splice(0, stored.length, ...entriesOf(left))
      isLost = true
      return read
    }
    await stream.sync(undefined)
    expect(heard).toEqual(told)
  },
)
