import { describe, expect, test } from 'vitest'
import type { LoggedEvent } from '#contract'
import { openWorld, type World } from './world.ts'

// Each rule about keys and connections, shown a violation, as in rules.test.ts.

const ref = { userId: 'u1', connectionId: 'broker_1' } as const
const linkedIn = (world: World) => world.store.controls.linked(ref)!

describe('rules about keys find a violation', () => {
  test('MUL-02 finds a request with keys that no check has verified', async () => {
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

  test('MUL-02 finds an order sent with other keys than those of its claim', async () => {
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

describe('rules about connections find a violation', () => {
  test('MUL-07 finds a write of a connection after its removal was sent', async () => {
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
    ['MUL-07 allows an order that was never sent to be written after the removal', false],
    ['MUL-07 finds an order sent to the broker that is written after the removal', true],
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

  test('MUL-07 finds a removal that is never carried out', async () => {
    const world = await openWorld({ seed: 9, roles: ['orders', 'streams'] })
    await world.disconnect('leave')
    await expect(world.quiesce()).rejects.toThrow('MUL-07 broker_1 is being removed, and never is')
  })

  test('MUL-06 finds a removed connection that still holds its broker account', async () => {
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

  test('CON-04 finds a connection that is reported as disconnected twice', async () => {
    const world = await openWorld({ seed: 9 })
    await tell(world, away, away)
    await expect(world.quiesce()).rejects.toThrow(
      'CON-04 error.brokerDisconnected of broker_1 twice',
    )
  })

  test('CON-04 finds a connected connection that was reported as disconnected', async () => {
    const world = await openWorld({ seed: 9 })
    await tell(world, away)
    await expect(world.quiesce()).rejects.toThrow(
      'CON-04 broker_1 is up, and its user was told that it is not',
    )
  })

  test('CON-04 allows a second removal after linking again without a connect', async () => {
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
