import { describe, expect, test } from 'vitest'
import { intentOf } from '../domain/orders.ts'
import { BrokerError } from '../../workers/broker/port.ts'
import { checkConnection } from '../../workers/connections/health.ts'
import { submitOrder } from '../../workers/orders/submit.ts'
import { makeWorker, ref } from '../workers/harness.ts'

/** A worker with one verified connection, whose checks a test makes. */
async function make() {
  const worker = makeWorker()
  await worker.adopted()
  const findings: string[] = []
  const check = (of = ref) =>
    checkConnection({ ...worker, onFinding: (one) => void findings.push(one) }, of)
  const codes = (userId = 'u1') =>
    worker.store.log(userId).map(({ event, payload }) => ('code' in payload ? payload.code : event))
  const rotate = (over: object = {}) => worker.connections.put({ ...record, ...over })
  return { ...worker, findings, check, codes, rotate }
}

const record = {
  ...ref,
  brokerType: 'alpaca',
  env: 'sandbox',
  sealed: 'new',
  connectedAt: '',
} as const
const account = (brokerAccountId: string) => async () => ({
  brokerAccountId,
  canTrade: true,
  why: null,
})

describe('CON-04 flapping', () => {
  test.each([1, 2, 5, 10, 20])(
    'CON-04 a square wave of %i s - no event, but failing checks are reported',
    async (periodS) => {
      const { broker, clock, check, codes, findings } = await make()
      const startMs = clock.now()
      const healthy = account('account-1')
      broker.readAccount = () => {
        const phase = ((clock.now() - startMs) / 1_000) % periodS
        return phase < periodS / 2
          ? healthy()
          : Promise.reject(new BrokerError('UNAVAILABLE', 'cut'))
      }
      for (let checks = 0; checks < 120; checks += 1) {
        await check()
        await clock.advance(periodS > 2 ? 1_300 : 700)
      }
      expect(codes()).toEqual([])
      expect(new Set(findings)).toEqual(new Set(['ok', 'failing']))
    },
  )

  test('CON-04 an outage of a minute - one event at its start, one at its end', async () => {
    const { broker, clock, check, codes } = await make()
    const healthy = broker.readAccount.bind(broker)
    for (const isUp of [true, false, true]) {
      broker.readAccount = isUp
        ? healthy
        : () => Promise.reject(new BrokerError('UNAVAILABLE', 'cut'))
      for (let checks = 0; checks < 6; checks += 1) {
        await check()
        await clock.advance(10_000)
      }
    }
    expect(codes()).toEqual(['UNREACHABLE', 'broker.connected'])
  })
})

describe('CON-05 credentials refused', () => {
  test('CON-05 refused credentials - submissions stop, one event, new credentials resume', async () => {
    const { broker, store, submit, check, codes, rotate, run, clock } = await make()
    broker.isRevoked = true
    for (let checks = 0; checks < 3; checks += 1) await check()
    expect(codes()).toEqual(['CREDENTIALS'])
    const waiting = await submitOrder(submit, intentOf(), run)
    expect([waiting.kind, broker.submissions.length]).toEqual(['again', 0])
    broker.isRevoked = false
    await rotate()
    expect((await submitOrder(submit, intentOf(), run)).kind).toBe('again') // not before it is seen where they lead
    await check()
    expect(codes()).toEqual(['CREDENTIALS', 'broker.connected'])
    await Promise.all([submitOrder(submit, intentOf(), run), clock.advance(1_000)])
    expect(broker.submissions).toHaveLength(1)
    expect((await store.loadConnection('u1', 'broker_1')).orders[0]?.status).toBe('submitted')
  })
})

describe('MUL-02 credentials changed under way', () => {
  test.each<[string, string, 'sandbox' | 'live', string[]]>([
    ['the same account', 'account-1', 'sandbox', []],
    ['another account', 'account-2', 'sandbox', ['OTHER_ACCOUNT']],
    ['the same number in another environment', 'account-1', 'live', ['UNUSABLE']],
  ])(
    'MUL-02 rotated to %s - trades only if the account is the same',
    async (_what, brokerAccountId, env, told) => {
      const { broker, submit, check, codes, rotate, run, clock, store } = await make()
      await check()
      await Promise.all([
        submitOrder(submit, intentOf({ tradeId: 't1' }), run),
        clock.advance(1_000),
      ])
      const before = await store.loadConnection('u1', 'broker_1')
      await rotate({ env })
      broker.readAccount = account(brokerAccountId)
      await check()
      expect(codes().filter((code) => code !== 'trade.submitted')).toEqual(told)
      await Promise.all([
        submitOrder(submit, intentOf({ tradeId: 't2' }), run),
        clock.advance(1_000),
      ])
      expect(broker.submissions).toHaveLength(told.length === 0 ? 2 : 1)
      const after = await store.loadConnection('u1', 'broker_1')
      expect(after.orders.filter(({ id }) => id === 't1')).toEqual(before.orders) // what is open stays as it is
    },
  )
})

describe('MUL-06 one broker account, two users', () => {
  test('MUL-06 second link - refused with the reason, verified once the first is removed', async () => {
    const { connections, store, check, codes } = await make()
    const { controls } = store
    await check()
    const second = { userId: 'u2', connectionId: 'broker_1' }
    await connections.put({ ...record, ...second })
    await check(second)
    expect(codes('u2')).toEqual(['LINKED_ELSEWHERE'])
    expect(controls.standingOf(second)).toBe('unverified')
    await controls.remove(ref)
    await check(second)
    expect(codes('u2')).toEqual(['LINKED_ELSEWHERE', 'broker.connected'])
    expect(controls.standingOf(second)).toBe('verified')
  })
})
