import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { StoreEpoch } from '#store'
import { ControlCache } from '../../workers/connections/control-cache.ts'
import { StandingHalts } from '../../workers/connections/halts.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { FakeStore } from '../support/fake-store.ts'

const ref = { userId: 'u1', connectionId: 'broker_1' }
const halt = { allows: 'nothing', by: 'ops', reason: 'drill', at: '' } as const

/** A store, and workers that know its control sets. */
function make() {
  const store = new FakeStore()
  const clock = new FakeClock()
  let marker = null as string | null
  let minted = 0
  const epoch: StoreEpoch = {
    read: async () => marker,
    mint: async () => (marker ??= `e${(minted += 1)}`),
  }
  const losses: string[] = []
  const usedAgain: string[] = []
  const start = (name: string, isStoreExpected = false) => {
    const heard: string[] = []
    const lines: Record<string, unknown>[] = []
    const counts: Record<string, number> = {}
    const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>)
    const standing = new StandingHalts(
      pino({ level: 'warn' }, { write }),
      (scope, count) => (counts[scope] = count),
    )
    const directory = new ControlCache({
      controls: store.controls,
      epoch,
      clock,
      log: pino({ level: 'silent' }),
      isStoreExpected,
      halts: standing,
      onLost: () => void losses.push(name),
      onUsedAgain: () => void usedAgain.push(name),
    })
    directory.listen({
      changed: ({ userId, connectionId }) => void heard.push(`changed ${userId} ${connectionId}`),
      gone: ({ userId, connectionId }) => void heard.push(`gone ${userId} ${connectionId}`),
      lost: () => void heard.push('lost'),
    })
    return { directory, heard, standing, lines, counts }
  }
  const wipe = (): void => {
    store.wipe()
    marker = null
  }
  return { store, clock, start, wipe, losses, usedAgain, accept: () => epoch.mint() }
}

describe('directory', () => {
  test('reports new connections, verified ones, and removed ones', async () => {
    const { store, clock, start } = make()
    const { heard } = start('w1')
    await clock.advance(1_000)
    const record = {
      ...ref,
      brokerType: 'alpaca',
      env: 'sandbox',
      sealed: 's',
      connectedAt: '',
    } as const
    const connection = await store.controls.connections.put(record)
    await clock.advance(1_000)
    await store.controls.links.verify(connection, 'account-1')
    await clock.advance(1_000)
    await store.controls.setHalt({ scope: 'user', userId: 'u1' }, halt) // not reported to listeners of connections
    await clock.advance(1_000)
    await store.controls.remove(ref)
    await clock.advance(1_000)
    expect(heard).toEqual(['changed u1 broker_1', 'changed u1 broker_1', 'gone u1 broker_1'])
  })

  test('a halt is logged at its start and end, counted, and named for operators', async () => {
    const { store, clock, start } = make()
    store.link(ref)
    const { standing, lines, counts } = start('w1')
    await clock.advance(1_000)
    expect([standing.remarks, lines, counts]).toEqual([
      [],
      [],
      { global: 0, user: 0, connection: 0 },
    ])
    await store.controls.setHalt({ scope: 'connection', ...ref }, { ...halt, allows: 'reducing' })
    await store.controls.setHalt({ scope: 'user', userId: 'u1' }, { ...halt, reason: 'two\nlines' })
    await store.controls.setHalt({ scope: 'global' }, halt)
    await clock.advance(5_000)
    expect(standing.remarks).toEqual([
      'halted: everybody, nothing is sent, by ops: drill',
      'halted: user u1, nothing is sent, by ops: two lines',
      'halted: connection broker_1 of u1, but for orders that reduce a position, by ops: drill',
    ])
    expect(counts).toEqual({ global: 1, user: 1, connection: 1 })
    const told = () => lines.map(({ msg, scope, by, reason }) => [msg, scope, by, reason])
    expect(told()).toEqual([
      ['halt.stands', 'global', 'ops', 'drill'],
      ['halt.stands', 'user', 'ops', 'two\nlines'],
      ['halt.stands', 'connection', 'ops', 'drill'],
    ])
    lines.length = 0
    await store.controls.setHalt({ scope: 'global' }, null)
    await store.controls.setHalt({ scope: 'connection', ...ref }, null)
    await clock.advance(5_000)
    expect(told()).toEqual([
      ['halt.ended', 'global', 'ops', 'drill'],
      ['halt.ended', 'connection', 'ops', 'drill'],
    ])
    expect(counts).toEqual({ global: 0, user: 1, connection: 0 })
  })

  test('of very many halts a few are named, the widest first', async () => {
    const { store, clock, start } = make()
    const { standing } = start('w1')
    for (let count = 0; count < 9; count += 1)
      await store.controls.setHalt({ scope: 'user', userId: `u${count}` }, halt)
    await store.controls.setHalt({ scope: 'global' }, halt)
    await clock.advance(2_000)
    expect(standing.remarks).toHaveLength(6)
    expect(standing.remarks[0]).toContain('everybody')
    expect(standing.remarks.at(-1)).toBe('halted: 5 more')
  })

  test('RDQ-05 a store is known until it is lost, and again once its sets are back', async () => {
    const { clock, start, wipe } = make()
    const { directory } = start('w1')
    await clock.advance(1_000)
    expect(await directory.knownStore()).toBe('e1')
    wipe()
    expect(await directory.knownStore()).toBeNull()
    await clock.advance(1_000)
    expect(await directory.knownStore()).toBe('e2')
  })

  test('RDQ-05 a wiped store gets its control sets back from any survivor, with halts', async () => {
    const { store, clock, start, wipe, losses } = make()
    store.link(ref)
    await store.controls.setHalt({ scope: 'user', userId: 'u1' }, halt)
    await store.controls.setHalt({ scope: 'global' }, halt)
    const one = start('w1')
    const two = start('w2')
    await clock.advance(1_000)
    wipe()
    expect(store.controls.standingOf(ref)).toBe('none')
    await clock.advance(2_000)
    expect(store.controls.standingOf(ref)).toBe('verified')
    expect(store.controls.haltOf(ref, 'adds')).toMatchObject({ reason: 'drill' })
    expect(await store.controls.readGlobalHalt()).toMatchObject({ reason: 'drill' })
    for (const { heard } of [one, two])
      expect(heard).toEqual(['changed u1 broker_1', 'lost', 'changed u1 broker_1'])
    expect(losses.sort()).toEqual(['w1', 'w2'])
    expect([one.directory.blockedReason, two.directory.blockedReason]).toEqual([null, null])
  })

  test('RDQ-05 a loss never counts as a removal, nor an older record as the newest', async () => {
    const { store, clock, start, wipe } = make()
    store.link(ref)
    store.link({ userId: 'u1', connectionId: 'broker_2' })
    const { heard, directory } = start('w1')
    await clock.advance(1_000)
    wipe()
    // The trade API connects one of the two again before any worker has noticed.
    const record = {
      ...ref,
      brokerType: 'alpaca',
      env: 'sandbox',
      sealed: 'newer',
      connectedAt: '',
    } as const
    await store.controls.connections.put(record)
    await clock.advance(2_000)
    expect(heard.filter((line) => line.startsWith('gone'))).toEqual([])
    expect((await store.controls.connections.get(ref))?.sealed).toBe('newer')
    expect(
      directory
        .setOf('u1')
        ?.connections.map(({ connectionId }) => connectionId)
        .sort(),
    ).toEqual(['broker_1', 'broker_2'])
  })

  test('RDQ-05 empty store, data expected - blocked until an operator accepts it', async () => {
    const { store, clock, start, losses, usedAgain, accept } = make()
    const { directory, heard } = start('w1', true)
    await clock.advance(10_000)
    expect(directory.blockedReason).toContain('acceptStore')
    expect(await directory.knownStore()).toBeNull()
    expect(losses).toEqual(['w1'])
    store.link(ref) // the trade API connects again: that alone opens nothing, for limits and halts are still missing
    await clock.advance(10_000)
    expect([directory.blockedReason === null, heard, usedAgain]).toEqual([false, [], []])
    await accept()
    await clock.advance(1_000)
    expect([directory.blockedReason, heard, usedAgain]).toEqual([
      null,
      ['changed u1 broker_1'],
      ['w1'],
    ])
  })

  test('RDQ-05 empty store, another worker survived - its restored sets unblock both', async () => {
    const { store, clock, start, wipe, usedAgain, accept } = make()
    store.link(ref)
    await store.controls.setHalt({ scope: 'global' }, halt)
    await accept()
    const survivor = start('w1', true)
    await clock.advance(1_000)
    wipe()
    const later = start('w2', true)
    await settle()
    expect(later.directory.blockedReason).toContain('store_lost')
    await clock.advance(2_000)
    expect([survivor.directory.blockedReason, later.directory.blockedReason]).toEqual([null, null])
    expect(usedAgain.toSorted()).toEqual(['w1', 'w2'])
    expect(await store.controls.readGlobalHalt()).toMatchObject({ reason: 'drill' })
    expect(later.heard).toEqual(['changed u1 broker_1'])
  })

  test('store lost, restore fails - it is blocked with that reason', async () => {
    const { store, clock, start, wipe } = make()
    store.link(ref)
    const { directory } = start('w1')
    await clock.advance(1_000)
    const restore = store.controls.restore.bind(store.controls)
    store.controls.restore = () => Promise.reject(new Error('READONLY'))
    wipe()
    await clock.advance(2_000)
    expect(directory.blockedReason).toContain('store_lost')
    store.controls.restore = restore
    await clock.advance(1_000)
    await settle()
    expect(directory.blockedReason).toBeNull()
    expect(store.controls.standingOf(ref)).toBe('verified')
  })
})
