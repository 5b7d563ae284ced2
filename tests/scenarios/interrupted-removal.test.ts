import { describe, expect, test } from 'vitest'
import { openWorld } from './world.ts'

const MINUTE_MS = 60_000

describe('MUL-07 a removal that is half done', () => {
  test('MUL-07 connection erased, account not yet deleted - balances include the account', async () => {
    const world = await openWorld({ seed: 15, isWhole: true })
    const other = { userId: 'u1', connectionId: 'broker_2' } as const
    await world.accounts.connect(other)
    await world.advance(MINUTE_MS)
    world.at('controls.remove answered', () => world.faults.plan('refused', 'store.commit'))
    await world.accounts.disconnect(other, 'leave')
    await world.settle()
    expect(world.faults.met.get('store.commit refused')).toBe(1)
    expect(await world.store.controls.read('u1')).toMatchObject({
      connections: [{ connectionId: 'broker_1' }],
    })
    const cash = world.store.snapshot('u1').accounts.map((account) => Number(account.cash))
    expect(cash).toHaveLength(2)
    // Nothing is remembered of an order that was placed elsewhere: its slice is loaded.
    world.broker.fill(world.broker.placeElsewhere('AAPL', '10').brokerOrderId, '180')
    await world.settle()
    const changed = world.store
      .log('u1')
      .filter(({ event }) => event === 'portfolio.balanceChanged')
    expect(changed.map(({ payload }) => payload)).toMatchObject([
      { oldBalance: cash[0]! + cash[1]! },
    ])
    await world.quiesce()
    expect(world.store.snapshot('u1').accounts).toHaveLength(1)
  })
})
