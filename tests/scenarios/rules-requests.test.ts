import { describe, expect, test } from 'vitest'
import { FakeBudget } from '../support/fake-budget.ts'
import { RequestCounts } from './world/request-counts.ts'
import { openWorld } from './world.ts'

// The rule about how often an account is asked, shown a violation, as in rules.test.ts.

const ref = { userId: 'u1', connectionId: 'broker_1' } as const
const account = 'u1 broker_1'

function open() {
  const clock = { nowMs: 1_000_000 }
  const budget = new FakeBudget(() => clock.nowMs)
  const findings: string[] = []
  const counts = new RequestCounts(budget, (finding) => findings.push(finding))
  const give = (count: number): void => {
    for (let given = 0; given < count; given += 1) expect(budget.takeNow(ref, 'cancel')).toBe(0)
  }
  const send = (count: number): void => {
    for (let sent = 0; sent < count; sent += 1) counts.sent(account, clock.nowMs)
  }
  return { clock, budget, findings, give, send }
}

describe('rules about the rate of requests find a violation', () => {
  test('S14 finds a budget that permits every request', async () => {
    const world = await openWorld({ seed: 9 })
    world.store.budget.takeNow = () => 0
    const crowd = async (): Promise<void> => {
      for (let count = 0; count < 210; count += 1) {
        world.submit({ tradeId: `t${count}`, quantity: '1' })
        if (count % 10 === 0) await world.advance(1_000)
      }
    }
    await expect(crowd()).rejects.toThrow('S14 201 requests of u1 broker_1 within a minute')
  })

  test('S14 the count starts again with a store that lost everything', () => {
    const { clock, budget, findings, give, send } = open()
    give(200)
    send(200)
    clock.nowMs += 1_000
    budget.wipe()
    give(200)
    send(200)
    expect(findings).toStrictEqual([])
    send(1)
    expect(findings).toStrictEqual(['S14 201 requests of u1 broker_1 within a minute'])
  })

  test('S14 requests permitted before a loss, sent after it - counted for the old budget', () => {
    const { clock, budget, findings, give, send } = open()
    give(60)
    send(50)
    clock.nowMs += 1_000
    budget.wipe()
    send(210)
    expect(findings).toStrictEqual([])
    send(1)
    expect(findings).toStrictEqual(['S14 201 requests of u1 broker_1 within a minute'])
  })
})
