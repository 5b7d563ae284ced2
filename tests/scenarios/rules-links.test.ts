import { describe, expect, test } from 'vitest'
import type { LoggedEvent } from '#contract'
import { openWorld, type World } from './world.ts'

// Each rule about keys and connections, shown a violation, as in rules.test.ts.

const ref = { userId: 'u1', connectionId: 'broker_1' } as const
const linkedIn = (world: World) => world.store.controls.linked(ref)!

describe('a rule about keys, broken, is found', () => {
  test('MUL-02 an account that is asked with keys that no check has verified', async () => {
    const world = await openWorld({ seed: 9 })
    await world.accounts.rotateKeys(ref, { to: 'good' })
    const { connection, link } = linkedIn(world)
    world.store.controls.linked = () => ({
      connection,
      link: { ...link!, verified: connection.revision },
    })
    world.submit()
    await expect(world.settle()).rejects.toThrow(
      'MUL-02 w1 calls submit with keys of broker_1 that no check has verified',
    )
  })

  test('MUL-02 an order that is sent with other keys than its claim named', async () => {
    const world = await openWorld({ seed: 9 })
    const { connection: earlier } = linkedIn(world)
    world.store.controls.link(ref, 'account-1', earlier.sealed)
    const { connection, link } = linkedIn(world)
    const shown = { ...connection }
    world.store.controls.linked = () => ({ connection: shown, link })
    world.at('submit.sending', () => (shown.revision = earlier.revision))
    world.submit()
    await expect(world.settle()).rejects.toThrow(
      'MUL-02 w1 calls submit for t1 with other keys than those of its claim',
    )
  })
})

describe('a rule about connections, broken, is found', () => {
  test('MUL-07 a write of a connection after its user was told that it is gone', async () => {
    const world = await openWorld({ seed: 9 })
    const account = world.store.accountOf('u1', 'broker_1')!
    await world.disconnect('leave')
    await world.advance(60_000)
    const store = world.workers[0]!.door('store', world.store, true)
    const open = {
      expectVersion: world.store.versionOf('u1'),
      fence: { kind: 'version' },
      events: [],
    } as const
    void store.commit('u1', { ...open, writes: [{ kind: 'account', account }] })
    await expect(world.settle()).rejects.toThrow(
      'MUL-07 account of broker_1 is written, and its user was told',
    )
  })

  test.each([
    ['MUL-07 an order that was never sent may be told as canceled by then', false],
    ['MUL-07 an order that was at the broker may not', true],
  ])('%s', async (_, isSent) => {
    const world = await openWorld({ seed: 9 })
    world.submit({ orderType: 'limit', limitPrice: '150' })
    await world.settle()
    world.cancel()
    await world.advance(5_000)
    const order = (await world.order('t1'))!
    await world.disconnect('leave')
    await world.advance(60_000)
    const unsent = {
      ...order,
      id: 't2',
      placements: [{ ...order.placements[0]!, status: 'denied' as const }],
    }
    const store = world.workers[0]!.door('store', world.store, true)
    const open = {
      expectVersion: world.store.versionOf('u1'),
      fence: { kind: 'version' },
      events: [],
    } as const
    void store.commit('u1', {
      ...open,
      writes: [{ kind: 'order', order: isSent ? order : unsent }],
    })
    const said = await world.settle().then(() => '', String)
    expect(said.includes('MUL-07 order of broker_1 is written')).toBe(isSent)
  })

  test('MUL-07 a removal that nobody carries out', async () => {
    const world = await openWorld({ seed: 9, roles: ['orders', 'streams'] })
    await world.disconnect('leave')
    await expect(world.quiesce()).rejects.toThrow('MUL-07 broker_1 is being removed, and never is')
  })

  test('MUL-06 a removal that leaves the broker account to the connection that is gone', async () => {
    const world = await openWorld({ seed: 9 })
    const { controls } = world.store
    const remove = controls.remove.bind(controls)
    controls.remove = async (of) => {
      await remove(of)
      const holders = controls.holders() as Map<string, string>
      holders.set('sandbox:account-1', 'u1 broker_1')
    }
    await world.disconnect('leave')
    await expect(world.quiesce()).rejects.toThrow(
      'MUL-06 sandbox:account-1 is held by u1 broker_1, which is gone',
    )
  })

  const about = { brokerConnectionId: 'broker_1', timestamp: '2024-03-15T14:00:00.000Z' }
  const away = {
    event: 'error.brokerDisconnected',
    payload: { ...about, brokerType: 'alpaca', reason: 'cut', code: 'UNREACHABLE', action: '' },
  } as const satisfies LoggedEvent
  async function tell(world: World, ...events: readonly LoggedEvent[]): Promise<void> {
    const open = {
      expectVersion: world.store.versionOf('u1'),
      fence: { kind: 'version' },
      writes: [],
    } as const
    await world.store.commit('u1', { ...open, events })
  }

  test('CON-04 a connection that is told to be away twice', async () => {
    const world = await openWorld({ seed: 9 })
    await tell(world, away, away)
    await expect(world.quiesce()).rejects.toThrow(
      'CON-04 error.brokerDisconnected of broker_1 twice',
    )
  })

  test('CON-04 a connection that is up, and was told to be away', async () => {
    const world = await openWorld({ seed: 9 })
    await tell(world, away)
    await expect(world.quiesce()).rejects.toThrow(
      'CON-04 broker_1 is up, and its user was told that it is not',
    )
  })

  test('CON-04 removed twice is right of a connection that was linked anew between, and never came up', async () => {
    const world = await openWorld({ seed: 9, isWhole: true })
    await world.disconnect('leave')
    await world.advance(60_000)
    world.broker.fail('readAccount', { kind: 'error_before' }, { times: Infinity })
    expect(await world.accounts.connect(ref, { accountNumber: 'account-1' })).toBe(true)
    await world.advance(5_000)
    await world.disconnect('leave')
    await world.quiesce()
    const codes = world.store
      .log('u1')
      .map(({ payload }) => ('code' in payload ? payload.code : null))
    expect(codes.filter((code) => code === 'REMOVED')).toHaveLength(2)
  })
})
