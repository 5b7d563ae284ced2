import { describe, expect, test } from 'vitest'
import { BrokerError, type AccountStanding } from '../../workers/broker/port.ts'
import { checkConnection } from '../../workers/connections/health.ts'
import { makeWorker, ref } from './harness.ts'

/** The answer to each check in turn, and the events of the user. */
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

/** A worker whose findings are counted. */
const makeChecker = () => {
  const findings: string[] = []
  return { ...makeWorker(), findings, onFinding: (finding: string) => void findings.push(finding) }
}

const EVERY_MS = 10_000

async function heardAfter(checks: readonly Answer[]): Promise<string[]> {
  const checker = makeChecker()
  for (const answer of checks) {
    checker.broker.readAccount = answers[answer]
    await checkConnection(checker, ref)
    await checker.clock.advance(EVERY_MS)
  }
  return checker.events().map((event) => (event === 'error.brokerDisconnected' ? 'down' : 'up'))
}

describe('checkConnection, every 10 s', () => {
  test.each<[string, Answer[], string[]]>([
    ['a healthy connection is not reported', ['ok', 'ok'], []],
    ['refused keys are down at once, once', ['ok', 'keys refused', 'keys refused'], ['down']],
    ['refused keys at the very first check too', ['keys refused'], ['down']],
    ['an account that may not trade is down', ['blocked', 'blocked'], ['down']],
    [
      'two failed checks are not an outage',
      ['unreachable', 'unreachable', 'ok', 'unreachable', 'unreachable'],
      [],
    ],
    ['three in a row are', ['unreachable', 'unreachable', 'unreachable', 'unreachable'], ['down']],
    ['a repaired connection is reported at once', ['keys refused', 'ok', 'ok'], ['down', 'up']],
    ['every episode is reported', ['keys refused', 'ok', 'keys refused'], ['down', 'up', 'down']],
    ['a spent budget changes nothing', ['keys refused', 'rate limited', 'keys refused'], ['down']],
    [
      'nor does a defect of ours',
      ['unreachable', 'our own fault', 'our own fault', 'unreachable'],
      [],
    ],
  ])('%s', async (_what, checks, heard) => expect(await heardAfter(checks)).toEqual(heard))

  test('after an outage, two good checks do not end it, three do', async () => {
    const outage: Answer[] = ['unreachable', 'unreachable', 'unreachable']
    expect(await heardAfter([...outage, 'ok', 'ok', 'unreachable', 'ok', 'ok'])).toEqual(['down'])
    expect(await heardAfter([...outage, 'ok', 'ok', 'ok'])).toEqual(['down', 'up'])
  })

  test('keys refused in an outage are the same episode, and one good check ends it', async () => {
    const checker = makeChecker()
    const outage: Answer[] = ['unreachable', 'unreachable', 'unreachable', 'keys refused', 'ok']
    for (const answer of outage) {
      checker.broker.readAccount = answers[answer]
      await checkConnection(checker, ref)
      await checker.clock.advance(EVERY_MS)
    }
    expect(
      checker.store.log('u1').map(({ payload }) => ('code' in payload ? payload.code : 'up')),
    ).toEqual(['UNREACHABLE', 'up'])
  })

  test('a check whose commit is applied twice is one check', async () => {
    const checker = makeChecker()
    const commit = checker.store.commit.bind(checker.store)
    checker.broker.readAccount = answers.unreachable
    checker.store.commit = async (...call) => {
      await commit(...call)
      return commit(...call)
    }
    await checkConnection(checker, ref)
    checker.store.commit = commit
    await checker.clock.advance(2 * EVERY_MS)
    await checkConnection(checker, ref)
    expect(checker.events()).toEqual([])
    await checkConnection(checker, ref)
    expect(checker.events()).toEqual(['error.brokerDisconnected'])
  })

  test('the record has the reason why the connection is down, as a text and as a code', async () => {
    const checker = makeChecker()
    const kept = async (answer: Answer) => {
      checker.broker.readAccount = answers[answer]
      await checkConnection(checker, ref)
      return (await checker.store.loadHealth(ref.userId, ref.connectionId)).health
    }
    expect(await kept('keys refused')).toMatchObject({
      code: 'CREDENTIALS',
      reason: 'API authentication failed',
    })
    expect(await kept('blocked')).toMatchObject({ code: 'ACCOUNT_BLOCKED' })
    expect(await kept('ok')).toMatchObject({ state: 'up', reason: null })
  })

  test('five checks at once report it once', async () => {
    const checker = makeChecker()
    checker.broker.isRevoked = true
    await Promise.all(Array.from({ length: 5 }, () => checkConnection(checker, ref)))
    expect(checker.events()).toEqual(['error.brokerDisconnected'])
  })
})
