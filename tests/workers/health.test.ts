import { describe, expect, test } from 'vitest'
import { BrokerError, type AccountStanding } from '../../workers/broker/index.ts'
import { checkConnection } from '../../workers/connections/health.ts'
import { makeWorker, ref } from './harness.ts'

/** What each check in turn is answered, and what the user hears. */
type Answer = 'ok' | 'keys refused' | 'blocked' | 'unreachable' | 'rate limited' | 'our own fault'

const standing: AccountStanding = { brokerAccountId: 'account-1', canTrade: true, why: null }
const answers: Record<Answer, () => Promise<AccountStanding>> = {
  ok: async () => standing,
  'keys refused': () => Promise.reject(new BrokerError('CREDENTIALS', 'API authentication failed')),
  blocked: async () => ({ ...standing, canTrade: false, why: 'the account is blocked' }),
  unreachable: () => Promise.reject(new BrokerError('UNAVAILABLE', 'status 503')),
  'rate limited': () => Promise.reject(new BrokerError('RATE_LIMITED', 'spent')),
  'our own fault': () => Promise.reject(new TypeError('a defect')),
}

async function heardAfter(checks: readonly Answer[]): Promise<string[]> {
  const worker = makeWorker()
  const { broker, events } = worker
  for (const answer of checks) {
    broker.readAccount = answers[answer]
    await checkConnection(worker, ref)
  }
  return events().map((event) => (event === 'error.brokerDisconnected' ? 'down' : 'up'))
}

describe('checkConnection', () => {
  test.each<[string, Answer[], string[]]>([
    ['a healthy connection is told of by nobody', ['ok', 'ok'], []],
    ['refused keys are down at once, once', ['ok', 'keys refused', 'keys refused'], ['down']],
    ['refused keys at the very first check too', ['keys refused'], ['down']],
    ['an account that may not trade is down', ['blocked', 'blocked'], ['down']],
    ['one failed check is not an outage', ['unreachable', 'unreachable', 'ok', 'unreachable', 'unreachable'], []],
    ['three in a row are', ['unreachable', 'unreachable', 'unreachable', 'unreachable'], ['down']],
    ['recovery is told once', ['keys refused', 'ok', 'ok'], ['down', 'up']],
    ['every episode is told', ['keys refused', 'ok', 'keys refused'], ['down', 'up', 'down']],
    ['a spent budget teaches nothing', ['keys refused', 'rate limited', 'keys refused'], ['down']],
    ['nor does a defect of ours', ['unreachable', 'our own fault', 'our own fault', 'unreachable'], []],
  ])('%s', async (_what, checks, heard) => expect(await heardAfter(checks)).toEqual(heard))

  test('two checks at once tell it once', async () => {
    const worker = makeWorker()
    const { broker, events } = worker
    broker.isRevoked = true
    await Promise.all(Array.from({ length: 5 }, () => checkConnection(worker, ref)))
    expect(events()).toEqual(['error.brokerDisconnected'])
  })
})
