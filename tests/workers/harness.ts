import { pino } from 'pino'
import { adopt, type Change } from '#domain'
import { isoTime, noBoundaries } from '#runtime'
import type { ConnectionRef, Leases } from '#store'
import { BrokerPool } from '../../workers/broker/pool.ts'
import { ConnectionLease, type LeaseDeps } from '../../workers/accounts/lease.ts'
import type { FollowUps } from '../../workers/queue/follow-ups.ts'
import { MarketHours } from '../../workers/broker/hours.ts'
import { noMetrics } from '../../workers/accounts/metrics.ts'
import { StateCache } from '../../workers/state/cache.ts'
import { makeDesk } from '../orders/order-deps.ts'
import { FakeBroker } from '../support/fake-broker.ts'
import { FakeClock, fakeRandom } from '../support/fake-clock.ts'
import { FakeAside } from '../support/fake-quarantine.ts'
import { FakeRecoveries } from '../support/fake-recoveries.ts'
import { FakeStore } from '../support/fake-store.ts'

export const ref: ConnectionRef = { userId: 'u1', connectionId: 'broker_1' }

/** Everything a worker needs, in memory: one user, one broker account. */
export function makeWorker(startMs?: number) {
  const clock = new FakeClock(startMs)
  const store = new FakeStore()
  const broker = new FakeBroker({ clock })
  const random = fakeRandom()
  store.link(ref)
  const log = pino({ level: 'silent' })
  const changes: Change[] = []
  const checks: ConnectionRef[] = []
  const { connections, links } = store.controls
  const vault = {
    seal: async () => 'sealed',
    open: async () => ({ credentials: { keyId: 'K', secretKey: 'S' }, stale: false }),
  }
  /** The connection that this worker has cached: the current one, unless a test changes it. */
  const known = { connection: (of: ConnectionRef) => store.controls.linked(of) }
  const recalled = (of: ConnectionRef) => known.connection(of)
  const brokers = new BrokerPool(connections, recalled, vault, 'sandbox', () => broker)
  const writer = {
    store,
    cache: new StateCache(),
    clock,
    onCommitted: (_user: string, committed: readonly Change[]) => void changes.push(...committed),
  }
  const leases = leasesIn(store)
  const recoveries = new FakeRecoveries(() => clock.now())
  const quarantine = new FakeAside(() => clock.now())
  const askForCheck = (checked: ConnectionRef): void => void checks.push(checked)
  const followed: string[] = []
  const followUps: FollowUps = {
    resolve: async (_ref, tradeId) => void followed.push(`resolve ${tradeId}`),
    cancel: async (_ref, tradeId, cause) => void followed.push(`cancel ${tradeId} ${cause}`),
    flatten: async (_ref, tradeId, { quantity, positionSide }) =>
      void followed.push(`flatten ${tradeId} ${quantity} ${positionSide}`),
  }
  const own = (over: Partial<LeaseDeps> = {}): ConnectionLease => {
    const ports = {
      writer,
      brokers,
      leases,
      recoveries,
      followUps,
      quarantine,
      clock,
      log,
      hours: new MarketHours(clock),
    }
    const silent = { boundaries: noBoundaries, accountMetrics: noMetrics, mayTake: () => true }
    return new ConnectionLease(
      { ...ports, ...silent, overExit: 'alarm', askForCheck, ...over },
      ref,
    )
  }
  const adopted = (): Promise<void> => readAccount(store, broker, clock)
  const events = (): string[] => store.log(ref.userId).map((entry) => entry.event)
  return {
    store,
    broker,
    clock,
    random,
    log,
    brokers,
    connections,
    links,
    writer,
    checks,
    changes,
    followed,
    leases,
    own,
    adopted,
    known,
    events,
    recoveries,
    ...makeDesk({ store, brokers, writer, clock, random, log, recoveries }),
  }
}

/** The account has been read, without a stream of its own. */
async function readAccount(store: FakeStore, broker: FakeBroker, clock: FakeClock): Promise<void> {
  const atMs = clock.now()
  const reading = {
    snapshot: await broker.readPortfolio(),
    activities: [],
    atMs,
    at: isoTime(atMs),
  }
  const { account } = adopt(ref.connectionId, reading)
  const { version } = await store.loadHealth(ref.userId, ref.connectionId)
  await store.commit(ref.userId, {
    expectVersion: version,
    fence: { kind: 'version' },
    writes: [{ kind: 'account', account }],
    events: [],
  })
}

/** `lease:{user}:connection` -> the name under which the store fake knows it. */
const leaseName = (key: string): string => key.replace(/^lease:\{(.*)\}:(.*)$/, '$1 $2')

/** Leases that the store's own fence checks. */
function leasesIn(store: FakeStore): Leases {
  let tokens = 0
  return {
    async take(key) {
      if (store.leases.has(leaseName(key))) return null
      const token = `token-${(tokens += 1)}`
      store.leases.set(leaseName(key), token)
      return token
    },
    renew: async (key, token) => store.leases.get(leaseName(key)) === token,
    revoke: async (key) => void store.leases.delete(leaseName(key)),
    async release(key, token) {
      if (store.leases.get(leaseName(key)) === token) store.leases.delete(leaseName(key))
    },
  }
}
