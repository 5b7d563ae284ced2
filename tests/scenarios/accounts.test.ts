import { describe, expect, test } from 'vitest'
import type { ConnectionRef } from '#store'
import { openWorld, type World } from './world.ts'

// Workers that read what connections there are, and tell the time of Redis, as in production.

const first = { userId: 'u1', connectionId: 'broker_1' } as const
const second = { userId: 'u2', connectionId: 'broker_9' } as const
const MINUTE_MS = 60_000

const codes = (world: World, userId = 'u1') =>
  world.store.log(userId).map(({ event, payload }) => ('code' in payload ? payload.code : event))

/** Buys one share, and sees it executed. */
async function trades(world: World, tradeId: string, ref: ConnectionRef = first): Promise<boolean> {
  world.submit({ ...ref, tradeId, quantity: '1' })
  await world.advance(4_000)
  if (world.brokerOf(ref).ledger.find(world.clientOrderId(tradeId, ref)) === null) return false
  world.fill(tradeId, '180', '1', ref)
  await world.advance(4_000)
  return world.told(tradeId, ref.userId).includes('trade.filled')
}

describe('connections - workers that discover them from the store', () => {
  test('a connection trades on several workers and after a crash', async () => {
    const world = await openWorld({ seed: 1, workers: 2, isWhole: true })
    expect(await trades(world, 't1')).toBe(true)
    world.restart(world.workers[0]!)
    await world.advance(20_000)
    expect(await trades(world, 't2')).toBe(true)
    await world.quiesce()
    await world.repeatAll()
  })

  test('a new connection is discovered, checked, read and traded within seconds', async () => {
    const world = await openWorld({ seed: 2, workers: 2, isWhole: true })
    expect(await world.accounts.connect(second)).toBe(true)
    world.accounts.brokerOf(second).placeElsewhere('MSFT', '7')
    await world.advance(10_000)
    expect(codes(world, 'u2')).toContain('broker.connected')
    expect(await trades(world, 't1', second)).toBe(true)
    await world.quiesce()
  })

  test('MUL-02 new keys - after a check has verified them, only the new keys trade', async () => {
    const world = await openWorld({ seed: 3, workers: 2, isWhole: true })
    expect(await trades(world, 't1')).toBe(true)
    await world.accounts.rotateKeys(first, { to: 'good' })
    world.accounts.revokeKeys(first, 'earlier')
    await world.advance(40_000)
    expect(await trades(world, 't2')).toBe(true)
    expect(codes(world)).not.toContain('CREDENTIALS')
    await world.quiesce()
  })

  test('CON-05 keys revoked - one event is sent, and new keys of the account resume', async () => {
    const world = await openWorld({ seed: 4, workers: 2, isWhole: true })
    world.accounts.revokeKeys(first)
    world.broker.streams.cut()
    await world.advance(3 * MINUTE_MS)
    expect(codes(world).filter((code) => code === 'CREDENTIALS')).toHaveLength(1)
    expect(await trades(world, 't1')).toBe(false)
    await world.accounts.rotateKeys(first, { to: 'good' })
    await world.advance(MINUTE_MS)
    const told = codes(world).filter(
      (code) => code === 'broker.connected' || code === 'CREDENTIALS',
    )
    expect(told).toEqual(['broker.connected', 'CREDENTIALS', 'broker.connected'])
    expect(await trades(world, 't2')).toBe(true)
    await world.quiesce()
  })

  test('MUL-02 keys of another account - it gets no request, the user gets the reason', async () => {
    const world = await openWorld({ seed: 5, isWhole: true })
    await world.accounts.rotateKeys(first, { to: 'other_account' })
    await world.advance(MINUTE_MS)
    expect(codes(world)).toContain('OTHER_ACCOUNT')
    expect(await trades(world, 't1')).toBe(false)
    await world.accounts.rotateKeys(first, { to: 'good' })
    await world.advance(MINUTE_MS)
    expect(await trades(world, 't2')).toBe(true)
    await world.quiesce()
  })

  test('MUL-06 connection removed during its check - the check claims no account', async () => {
    const world = await openWorld({ seed: 10, workers: 2, isWhole: true })
    await world.accounts.rotateKeys(first, { to: 'good' })
    world.freezeAt('links.verify', 8_000)
    await world.advance(2_000)
    await world.accounts.disconnect(first, 'leave')
    await world.advance(20_000)
    await world.accounts.connect(second, { accountNumber: 'account-1' })
    await world.advance(MINUTE_MS)
    expect(codes(world, 'u2')).toContain('broker.connected')
    await world.quiesce()
  })

  test('MUL-07 refused keys found after the removal - no event is sent', async () => {
    const world = await openWorld({ seed: 11, workers: 2, isWhole: true })
    world.accounts.revokeKeys(first)
    world.freezeAt('store.loadHealth', 8_000)
    world.broker.streams.cut()
    await world.advance(4_000)
    await world.accounts.disconnect(first, 'leave')
    await world.advance(20_000)
    expect(codes(world)).toContain('REMOVED')
    expect(codes(world)).not.toContain('CREDENTIALS')
    await world.quiesce()
  })

  test('CON-05 old keys refused after a rotation - the new keys stay in use', async () => {
    const world = await openWorld({ seed: 12, workers: 2, isWhole: true })
    world.accounts.revokeKeys(first)
    world.freezeAt('broker.readAccount answered', 8_000)
    world.broker.streams.cut()
    await world.advance(3_000)
    await world.accounts.rotateKeys(first, { to: 'good' })
    world.queue.addPassing('connections', 'checkConnection', first, 'another')
    await world.advance(20_000)
    expect(codes(world)).not.toContain('CREDENTIALS')
    expect(await trades(world, 't1')).toBe(true)
    await world.quiesce()
  })

  test('MUL-06 second user of one account - refused until the first one is removed', async () => {
    const world = await openWorld({ seed: 6, isWhole: true })
    await world.accounts.connect(second, { accountNumber: 'account-1' })
    await world.advance(MINUTE_MS)
    expect(codes(world, 'u2')).toEqual(['LINKED_ELSEWHERE'])
    await world.accounts.disconnect(first, 'leave')
    await world.advance(3 * MINUTE_MS)
    expect(codes(world, 'u2').slice(0, 2)).toEqual(['LINKED_ELSEWHERE', 'broker.connected'])
    expect(await trades(world, 't1', second)).toBe(true)
    await world.quiesce()
  })

  test.each(['cancel', 'leave'] as const)(
    'MUL-07 removed (%s) with an open order, then linked again - the account trades',
    async (how) => {
      const world = await openWorld({ seed: 7, workers: 2, isWhole: true })
      world.submit({ tradeId: 't1', orderType: 'limit', limitPrice: '180' })
      await world.advance(3_000)
      world.fill('t1', '180', '40')
      await world.advance(3_000)
      await world.accounts.disconnect(first, how)
      await world.advance(MINUTE_MS)
      expect(await world.accounts.connect(first, { accountNumber: 'account-1' })).toBe(true)
      await world.advance(MINUTE_MS)
      expect(await trades(world, 't2')).toBe(true)
      await world.quiesce()
    },
  )

  test('RDQ-05 the store loses everything - the running workers restore it', async () => {
    const world = await openWorld({ seed: 8, workers: 2, isWhole: true })
    expect(await trades(world, 't1')).toBe(true)
    world.store.wipe()
    await world.advance(MINUTE_MS)
    expect(world.store.marker).not.toBeNull()
    expect(await trades(world, 't2')).toBe(true)
    await world.quiesce()
  })
})

describe('CLK-01 the clock of a machine jumps', () => {
  /**
   * An order with a deadline that passes while it waits, on a machine whose clock is an hour
   * behind.
   */
  const late = async (trustsMachine: boolean): Promise<World> => {
    const world = await openWorld({ seed: 9, isWhole: true, trustsMachine })
    world.workers[0]!.jumpClock(-60 * MINUTE_MS)
    await world.advance(10_000)
    world.queue.lateMs = 20_000
    world.submit({ notAfter: new Date(world.nowMs + 10_000).toISOString() })
    await world.advance(30_000)
    return world
  }

  test('CLK-01 deadline passed by the time of Redis - the order is not sent', async () => {
    const world = await late(false)
    expect(world.told('t1')).toEqual(['trade.rejected'])
    await world.quiesce()
  })

  test('CLK-01 workers that trust the clock of the machine - rule S3 finds the order', async () => {
    await expect(late(true)).rejects.toThrow('S3 t1 is past its deadline, and is sent')
  })
})
