import { describe, expect, test } from 'vitest'
import { createLogger, Metrics } from '#runtime'
import type { LogEntry, Reader } from '#store'
import { Outage } from '#transport'
import { createRelayMetrics } from '../../relay/context.ts'
import type { EventSink } from '../../relay/event-sink.ts'
import { UserStream } from '../../relay/user-stream.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const idOf = (n: number): string => `17000000000${String(n).padStart(2, '0')}-00000`

/** A stream over a log in memory, and the events that it sent. */
function open() {
  const log: LogEntry[] = []
  const said: string[] = []
  const state: {
    isOpen: boolean
    isBehind: boolean
    failures: number
    stateFailures: number
    onRead?: () => void
    looks: number
    unread: 'account_unread' | null
    answer?: Promise<void>
  } = {
    isOpen: true,
    isBehind: false,
    failures: 0,
    stateFailures: 0,
    looks: 0,
    unread: null,
  }
  const top = () => log.at(-1)?.id ?? '0000000000000-00000'
  const reader: Reader = {
    async events(_userId, afterId, limit) {
      if (state.failures > 0) {
        state.failures -= 1
        throw new Error('Redis is away')
      }
      const page = { entries: log.filter(({ id }) => id > afterId).slice(0, limit), top: top() }
      await Promise.resolve()
      if (log.length < 50) state.onRead?.()
      await Promise.resolve()
      return page
    },
    async top() {
      state.looks += 1
      await state.answer
      return top()
    },
    async figures() {
      if (state.stateFailures > 0) {
        state.stateFailures -= 1
        throw new Error('Redis is away')
      }
      const snapshot = { version: '1', lastEventId: top(), orders: [], positions: [], accounts: [] }
      return { snapshot, unread: state.unread }
    },
    order: async () => null,
  } as Partial<Reader> as Reader
  const outlet: EventSink = {
    isOpen: () => state.isOpen,
    isBehind: () => state.isBehind,
    tell: (event, payload) =>
      void said.push('positions' in payload || event !== 'state.sync' ? event : `part of ${event}`),
    deliver: ({ event }, isPlace) => void said.push(isPlace ? event : `${event}, no place`),
  }
  const clock = new FakeClock()
  const metrics = createRelayMetrics(new Metrics())
  const silent = createLogger('t', 'silent')
  const stream = new UserStream(
    { reader, clock, log: silent, outage: new Outage(clock, silent), metrics },
    'alice',
    outlet,
  )
  /** Logs the next event; `isHeard`: it comes by Redis as well. */
  const happen = (isHeard = true, name = `e${log.length + 1}`): void => {
    const entry = { id: idOf(log.length + 1), prev: top(), event: name, payload: {} }
    log.push(entry)
    const { event, payload, id, prev } = entry
    if (isHeard) stream.receive({ event, payload, meta: { id, prev } })
  }
  const start = (lastEventId?: string): Promise<void> =>
    stream.start(lastEventId, () => said.push('placed'))
  return { stream, said, state, clock, happen, start, log }
}

describe('a stream without a place', () => {
  test('sends nothing, also after checks, requests and live events', async () => {
    const { stream, said, happen, start } = open()
    for (let n = 0; n < 3; n += 1) happen()
    void stream.check()
    void stream.sync(undefined)
    happen()
    await settle()
    expect(said).toEqual([])
    await start(idOf(2))
    await settle()
    expect(said).toEqual(['placed', 'e3', 'e4', 'state.sync'])
    happen()
    expect(said.at(-1)).toBe('e5')
  })
})

describe('a stream', () => {
  test('never reads the log with its gate open, in any order of its steps', async () => {
    const { stream, said, happen, start, state } = open()
    void stream.check()
    happen()
    const started = start('0000000000000-00000')
    state.onRead = () => happen() // an event while the log is read
    await started
    await settle()
    for (let n = 0; n < 3; n += 1) {
      happen(false) // so that there is something to read
      await stream.check()
    }
    delete state.onRead
    await stream.check()
    const events = said.filter((each) => each !== 'placed')
    expect(events.length).toBeGreaterThan(3)
    expect(events).toEqual(events.map((_, i) => `e${i + 1}`))
  })

  test('has at most one read under way, and one after it, for any number of checks', async () => {
    const { stream, said, happen, start, state } = open()
    await start()
    const { promise, resolve } = Promise.withResolvers<void>()
    Object.assign(state, { looks: 0, answer: promise })
    for (let n = 0; n < 5; n += 1) void stream.check()
    await settle()
    expect(state.looks).toBe(1)
    happen(false)
    resolve()
    await settle()
    expect(state.looks).toBe(2)
    expect(said).toEqual(['placed', 'e1'])
  })

  test('reads a missed live event from the log, once and in its place', async () => {
    const { said, happen, start } = open()
    await start()
    happen()
    happen(false)
    happen()
    happen()
    await settle()
    expect(said).toEqual(['placed', 'e1', 'e2', 'e3', 'e4'])
  })

  test('finds a lost last event at the next check', async () => {
    const { stream, said, happen, start } = open()
    await start()
    happen(false)
    await stream.check()
    expect(said).toEqual(['placed', 'e1'])
  })

  test('waits for a connection that is behind, and loses nothing meanwhile', async () => {
    const { said, state, clock, happen, start } = open()
    happen(false)
    state.isBehind = true
    void start('0000000000000-00000')
    await clock.advance(1_000)
    happen()
    expect(said).toEqual(['placed'])
    state.isBehind = false
    await clock.advance(20)
    expect(said).toEqual(['placed', 'e1', 'e2'])
  })

  test('tries again while the log cannot be read', async () => {
    const { said, state, clock, happen, start } = open()
    happen(false)
    state.failures = 3
    void start('0000000000000-00000')
    await clock.advance(100 + 200 + 400)
    expect(said).toEqual(['placed', 'e1'])
  })

  test('sends no resync before it has read the state that follows', async () => {
    const { said, state, clock, happen, start } = open()
    await start()
    state.stateFailures = 2
    happen(true, 'state.resync')
    await settle()
    expect(said).toEqual(['placed'])
    await clock.advance(100 + 200)
    expect(said).toEqual(['placed', 'state.resync', 'state.sync'])
  })

  test('sends the whole state after a resync, also when a part was requested', async () => {
    const { stream, said, happen, start, log } = open()
    await start()
    happen(false)
    happen(false, 'state.resync')
    happen(false)
    await stream.sync(['portfolio'])
    expect(said).toEqual(['placed', 'e1', 'state.resync', 'state.sync'])
    happen(false)
    happen(false)
    log.splice(3, 1) // the entries behind the last sent id are trimmed
    await stream.sync(['portfolio'])
    expect(said.slice(4)).toEqual(['state.resync', 'state.sync'])
    await stream.sync(['portfolio'])
    expect(said.slice(6)).toEqual(['part of state.sync'])
  })

  test('gives no id to resume from between a resync and its state, for any delay', async () => {
    const { stream, said, state, happen, start } = open()
    await start()
    state.unread = 'account_unread'
    happen(true, 'state.resync')
    await settle()
    happen()
    await settle()
    expect(said).toEqual(['placed', 'state.resync', 'e2, no place'])
    state.unread = null
    await stream.sync(undefined)
    happen()
    expect(said.slice(3)).toEqual(['state.sync', 'e3'])
  })

  test('sends nothing once its connection is closed', async () => {
    const { stream, said, state, happen, start } = open()
    await start()
    happen(false)
    state.isOpen = false
    await stream.check()
    expect(said).toEqual(['placed'])
  })
})
