import type { LoggedEvent } from '#contract'
import { type Clock, isoTime, type Logger } from '#runtime'
import type { ConnectionRef, Connections, Health, Links, LinkOutcome, Store } from '#store'
import { BrokerError, type BrokerPool, ConnectionUnusableError } from '../broker/index.ts'
import { CLASHES_MAX, ContentionError } from '../updates/index.ts'

/**
 * Health of one broker connection.
 *
 *   up --credentials refused, account may not trade--> down    at once
 *   up --unreachable, `FAILURES_MAX` checks in a row--> down    one failed check is not an outage (CON-04)
 *   down --check succeeds--> up
 *
 * `error.brokerDisconnected` is written with the step to `down`, and `broker.connected` with the step back: once per episode,
 * whoever checks and however often.
 */
export type HealthDeps = Readonly<{
  store: Store
  connections: Connections
  links: Links
  brokers: BrokerPool
  clock: Clock
  log: Logger
}>

type Finding = Readonly<
  { kind: 'ok' } | { kind: 'failing' | 'broken'; reason: string; action: string } | { kind: 'skipped' }
>

const FAILURES_MAX = 3

export async function checkConnection(deps: HealthDeps, ref: ConnectionRef): Promise<void> {
  const finding = await examine(deps, ref)
  for (let clashes = 0; clashes < CLASHES_MAX; clashes += 1) {
    const { version, health } = await deps.store.loadHealth(ref.userId, ref.connectionId)
    const at = isoTime(deps.clock.now())
    const next = nextHealth(health, finding, at)
    if (next === null || JSON.stringify(next) === JSON.stringify(health)) return
    const commit = {
      expectVersion: version,
      fence: { kind: 'version' },
      writes: [{ kind: 'health', connectionId: ref.connectionId, health: next }],
      events: eventsOf(ref, health, next, finding, at),
    } as const
    if ((await deps.store.commit(ref.userId, commit)).kind !== 'committed') continue
    if (next.state !== (health?.state ?? 'up'))
      deps.log.warn({ ...ref, state: next.state, reason: next.reason }, 'connection.health')
    return
  }
  throw new ContentionError(ref.userId)
}

const CHECK_KEYS = 'Verify API keys in Settings → Brokers'

/** What is wrong with a login that the broker accepted. */
const LINK_PROBLEMS: Readonly<Record<Exclude<LinkOutcome, 'verified'>, Finding>> = {
  other_account: {
    kind: 'broken',
    reason: 'The credentials lead to another account than this connection is for',
    action: 'Enter credentials of the same account, or connect the other account as a new connection',
  },
  linked_elsewhere: {
    kind: 'broken',
    reason: 'The broker account is linked to another connection already',
    action: 'Remove the other connection first',
  },
}

/** Logs in at the broker, and compares the account with the one that the connection is for. */
async function logIn({ connections, links, brokers }: HealthDeps, ref: ConnectionRef): Promise<Finding> {
  const connection = await connections.get(ref) // before the broker is opened: credentials that came later are not judged by this
  const { brokerAccountId, canTrade, why } = await (await brokers.get(ref)).readAccount()
  if (connection === null) return { kind: 'skipped' }
  const outcome = await links.verify(connection, brokerAccountId)
  if (outcome !== 'verified') return LINK_PROBLEMS[outcome]
  if (canTrade) return { kind: 'ok' }
  return { kind: 'broken', reason: `Account cannot trade: ${why ?? 'no reason given'}`, action: 'Contact the broker' }
}

/** Asks the broker. Never throws. */
async function examine(deps: HealthDeps, ref: ConnectionRef): Promise<Finding> {
  const { links, log } = deps
  const action = CHECK_KEYS
  try {
    return await logIn(deps, ref)
  } catch (error) {
    if (error instanceof ConnectionUnusableError) return { kind: 'broken', reason: error.message, action }
    if (!(error instanceof BrokerError)) {
      log.error({ ...ref, error }, 'connection.check_failed') // ours, not the broker's: nothing was learnt of the connection
      return { kind: 'skipped' }
    }
    if (error.code === 'RATE_LIMITED') return { kind: 'skipped' } // the account works; there is just no budget to ask
    if (error.code === 'CREDENTIALS') {
      await links.suspend(ref)
      return { kind: 'broken', reason: error.message, action }
    }
    return { kind: 'failing', reason: 'The broker cannot be reached', action: 'Wait; Fillcast keeps trying' }
  }
}

/** `null`: nothing was learnt. */
function nextHealth(health: Health | null, finding: Finding, at: string): Health | null {
  const state = health?.state ?? 'up'
  const since = (next: Health['state']): string => (health?.state === next ? health.since : at)
  switch (finding.kind) {
    case 'skipped':
      return null
    case 'ok':
      return { schema: 1, state: 'up', failures: 0, reason: null, since: since('up') }
    case 'broken':
      return { schema: 1, state: 'down', failures: 0, reason: finding.reason, since: since('down') }
    case 'failing': {
      const failures = Math.min((health?.failures ?? 0) + 1, FAILURES_MAX)
      const isDown = state === 'down' || failures >= FAILURES_MAX
      const next = isDown ? 'down' : 'up'
      return { schema: 1, state: next, failures, reason: isDown ? finding.reason : null, since: since(next) }
    }
  }
}

function eventsOf(
  ref: ConnectionRef,
  before: Health | null,
  after: Health,
  finding: Finding,
  at: string,
): LoggedEvent[] {
  const about = { brokerType: 'alpaca', brokerConnectionId: ref.connectionId, timestamp: at } as const
  const was = before?.state ?? 'up'
  if (after.state === was) return []
  if (after.state === 'up') return [{ event: 'broker.connected', payload: about }]
  const action = 'action' in finding ? finding.action : ''
  return [{ event: 'error.brokerDisconnected', payload: { ...about, reason: after.reason ?? '', action } }]
}
