import { describe, expect, test } from 'vitest'
import type { EventSink, Logged } from '../../relay/event-sink.ts'
import type { Figures, Reader } from '#store'
import { openWorld, type World } from './world.ts'
import { RESUMES } from './world/client.ts'
import type { RelayDefect } from './world/relay.ts'

const TWO = [
  { userId: 'u1', connectionId: 'broker_1' },
  { userId: 'u2', connectionId: 'broker_2' },
] as const

/** Both users trade; `disturb` happens in the middle. */
async function trade(
  seed: number,
  relayDefect: RelayDefect = {},
  disturb: (world: World) => void = () => {},
) {
  const world = await openWorld({ seed, clients: true, accounts: TWO, relayDefect })
  for (const ref of TWO) world.submit({ ...ref, tradeId: `${ref.userId}-a`, quantity: '10' })
  await world.advance(1_000)
  disturb(world)
  for (const ref of TWO) {
    world.fill(`${ref.userId}-a`, '180', '4', ref)
    world.submit({ ...ref, tradeId: `${ref.userId}-b`, symbol: 'MSFT', quantity: '5' })
  }
  await world.advance(3_000)
  for (const ref of TWO) {
    world.fill(`${ref.userId}-a`, '181', undefined, ref)
    world.fill(`${ref.userId}-b`, '400', '2', ref)
  }
  await world.advance(1_000)
  await world.quiesce()
  return world
}

/**
 * Only the latest readings of the figures count, and at the first of them the account was unread.
 */
async function askOften(world: World): Promise<void> {
  for (let asked = 0; asked < 4; asked += 1) {
    world.clientOf().requestSync()
    await world.advance(500)
  }
}

/**
 * An outlet that gives each event of the log to `change`, which answers what is delivered instead.
 */
const altering =
  (
    change: (logged: Logged, nth: number) => readonly Logged[],
  ): NonNullable<RelayDefect['outlet']> =>
  (outlet, userId): EventSink => {
    let count = 0
    return {
      isOpen: () => outlet.isOpen(),
      isBehind: () => outlet.isBehind(),
      tell: (...told) => outlet.tell(...told),
      deliver(logged, isPlace) {
        if (userId !== 'u1') return outlet.deliver(logged, isPlace)
        for (const each of change(logged, (count += 1))) outlet.deliver(each, isPlace)
      },
    }
  }

describe('clients of a world', () => {
  test('the client of each user gets the whole log and ends with the stored state', async () => {
    const world = await trade(1)
    for (const event of [
      'state.sync',
      'trade.submitted',
      'trade.filled',
      'portfolio.positionAdded',
    ])
      expect(world.relay.met.get(event), event).toBeGreaterThanOrEqual(2)
  })

  test.each(RESUMES)(
    'a client that is cut and resumes by %s ends with the stored state',
    async (resume) => {
      const world = await trade(2, {}, ({ relay }) => relay.clientsOf('u1')[0]!.cut(700, resume))
      expect(world.relay.met.get(`resume ${resume}`)).toBe(1)
      expect(world.relay.met.get('connection.authorized')).toBe(3)
    },
  )

  test('lost publications are read from the log, the last one by the check', async () => {
    const world = await trade(3, {}, ({ relay }) => relay.drop({ times: 1_000 }))
    expect(world.relay.met.get('publication dropped')).toBeGreaterThan(10)
  })

  test('clients of a killed relay connect to the other relays', async () => {
    const world = await trade(4, {}, ({ relay }) => {
      relay.kill()
      relay.kill()
    })
    expect(world.relay.met.get('connection.authorized')).toBeGreaterThan(2)
  })

  test('a relay without subscriptions for 2 s checks all its clients afterwards', async () => {
    const world = await trade(5, {}, ({ relay }) => relay.deafen(2_000))
    expect(world.relay.met.get('relay deaf')).toBe(1)
  })

  test('a relay whose reads fail tries again', async () => {
    const world = await trade(6, {}, ({ relay }) => {
      for (const label of ['reader.events', 'reader.figures', 'reader.top'])
        for (const kind of ['reply_lost', 'request_lost'] as const) relay.faults.plan(kind, label)
      relay.clientsOf('u1')[0]!.cut(100, 'none')
      relay.clientsOf('u2')[0]!.cut(100, 'last')
    })
    expect(world.relay.met.get('reader.figures failed')).toBe(2)
    expect(world.relay.met.get('reader.top failed')).toBe(2)
  })

  test('a client away while its log is trimmed gets state.resync', async () => {
    const world = await trade(7, {}, (world) => {
      world.clientOf('u1').cut(3_500)
      world.later(3_000, () => world.store.trimLog('u1', 0))
    })
    expect(world.relay.met.get('state.resync')).toBeGreaterThan(2)
  })

  test('a stalled client gets the remaining events later', async () => {
    const world = await trade(8, {}, ({ relay }) => {
      relay.drop({ userId: 'u1' })
      relay.stall(relay.clientsOf('u1')[0]!, 3_000)
    })
    expect(world.relay.met.get('client stalled')).toBe(1)
  })

  test('a store that lost everything shows no figures until its accounts are read', async () => {
    const world = await openWorld({ seed: 9, clients: true })
    world.submit()
    await world.advance(2_000)
    const told = world.relay.met.get('state.sync')
    const known = await world.store.controls.read('u1')
    world.store.wipe()
    world.clientOf().cut(3_000)
    await world.advance(20_000)
    expect(world.relay.met.get('state.sync')).toBe(told)
    await world.store.controls.restore([known], null)
    world.store.marker = 'second'
    world.fill('t1', '180')
    await world.quiesce()
    expect(world.relay.met.get('state.sync')).toBe((told ?? 0) + 1)
  })

  test('a cancel before the broker has the trade is shown, then trade.submitted is sent', async () => {
    const world = await openWorld({ seed: 10, clients: true, workers: 2 })
    world.at('broker.submit', (process) => {
      process.freeze()
      world.later(3_000, () => process.thaw())
    })
    world.submit()
    await world.advance(500)
    world.cancel()
    await world.advance(500)
    world.clientOf().requestSync()
    await world.quiesce()
    expect(world.relay.met.get('state.sync')).toBe(2)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
  })

  test('figures unavailable only during a read are sent later, without a finding', async () => {
    const world = await openWorld({ seed: 11, clients: true })
    await askOften(world)
    const owed = world.relay.met.get('sync owed') ?? 0
    const taken = new Map(world.steps)
    const untilTaken = (label: string) =>
      world.until(() => (world.steps.get(label) ?? 0) > (taken.get(label) ?? 0), 1_000, label)
    world.relay.slowReads(2_000)
    world.clientOf().requestSync()
    await untilTaken('reader.figures')
    world.store.marker = null
    await untilTaken('reader reads on')
    world.store.marker = 'first'
    await world.until(
      () => world.relay.met.get('sync owed') === owed + 1,
      2_000,
      'a sync that is owed',
    )
    await world.quiesce()
  })

  test('a log that loses its end during a read may cause a resync without a gap', async () => {
    let isLost = true
    const reader = (asIs: Reader): Reader => {
      const events: Reader['events'] = async (...asked) => {
        const page = await asIs.events(...asked)
        if (isLost || page.entries.length === 0) return page
        isLost = true
        world.loseLast(1, 100)
        return { ...page, entries: [] }
      }
      return Object.assign(Object.create(asIs) as Reader, { events })
    }
    const world = await openWorld({ seed: 12, clients: true, relayDefect: { reader } })
    await askOften(world)
    isLost = false
    world.relay.drop({ times: 1_000 })
    world.submit()
    await world.advance(40_000)
    expect([isLost, world.store.losses]).toEqual([true, 1])
    await world.quiesce()
  })
})

/** An event of u2 goes to u1 as well. */
function strays(): NonNullable<RelayDefect['outlet']> {
  let caught: Logged | null = null
  return (outlet, userId) => ({
    isOpen: () => outlet.isOpen(),
    isBehind: () => outlet.isBehind(),
    tell: (...told) => outlet.tell(...told),
    deliver(logged, isPlace) {
      if (userId === 'u2') caught = logged
      else if (caught !== null) outlet.deliver(caught, isPlace)
      outlet.deliver(logged, isPlace)
    },
  })
}

/** Every event from Redis names the last received event as its previous one. */
function chained(): NonNullable<RelayDefect['received']> {
  const last = new Map<string, string>()
  return (logged, userId) => {
    const prev = last.get(userId) ?? logged.meta.prev
    last.set(userId, logged.meta.id)
    return { ...logged, meta: { ...logged.meta, prev } }
  }
}

/** A reader whose figures are others. */
const showing =
  (change: (figures: Figures) => Figures): NonNullable<RelayDefect['reader']> =>
  (reader) => {
    const figures: Reader['figures'] = async (userId) => change(await reader.figures(userId))
    return Object.assign(Object.create(reader) as Reader, { figures })
  }

const withoutPositions = (figures: Figures): Figures => ({
  ...figures,
  snapshot: { ...figures.snapshot, positions: [] },
})
const skipped = (nth: number) => altering((one, at) => (at === nth ? [] : [one]))
const doubled = altering((one, at) => (at === 3 ? [one, one] : [one]))
const renamed = altering((one) => [{ ...one, event: one.event.replace('partialFill', 'filled') }])
const halved = altering((one) => [
  { ...one, payload: { ...(one.payload as object), timestamp: undefined } },
])

type Planted = Readonly<{
  what: string
  defect: RelayDefect
  rule: RegExp
  disturb?: (world: World) => void
}>

describe('rules find a defect between the log and a client', () => {
  test.each<Planted>([
    {
      what: 'an event is skipped',
      defect: { outlet: skipped(3) },
      rule: /what lies between is missing/,
    },
    {
      what: 'the last events are never sent',
      defect: { outlet: altering((one, nth) => (nth > 8 ? [] : [one])) },
      rule: /the log ends at/,
    },
    { what: 'an event is sent twice', defect: { outlet: doubled }, rule: /again, or late/ },
    {
      what: 'an event is sent as another one',
      defect: { outlet: renamed },
      rule: /otherwise than it was logged/,
    },
    { what: 'a payload lacks a field', defect: { outlet: halved }, rule: /a payload that is none/ },
    {
      what: 'an event of another user is sent',
      defect: { outlet: strays() },
      rule: /of u1 is sent [\w.]+ of u2 \(S11\)/,
    },
    {
      what: 'the id of the previous event is not checked',
      defect: { received: chained() },
      rule: /what lies between is missing/,
      disturb: ({ relay }) => relay.drop({ userId: 'u1', skip: 1 }),
    },
    {
      what: 'figures are shown before an account was read',
      defect: { reader: showing((figures) => ({ ...figures, unread: null })) },
      rule: /state.sync before broker_. was read/,
    },
    {
      what: 'the state that is shown is not the whole state',
      defect: { reader: showing(withoutPositions) },
      rule: /C5 for a client of u1, .* (which is not there|and should be)/,
      disturb: (world) => void world.later(2_000, () => world.clientOf('u1').cut(0, 'none')),
    },
  ])('$what', async ({ defect, rule, disturb }) => {
    await expect(trade(10, {}, disturb)).resolves.toBeDefined()
    await expect(trade(10, defect, disturb)).rejects.toThrow(rule)
  })
})
