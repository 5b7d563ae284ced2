import { isDeepStrictEqual } from 'node:util'
import type { LoggedEvent } from '#contract'
import { type Clock, isoTime } from '#runtime'
import type { ConnectionRef, Health, Store } from '#store'
import { CONFLICT, retryOnConflict } from '../state/index.ts'
import { type Finding, type Login, logIn, type LoginDeps, type Problem } from './login.ts'

/**
 * Health of one broker connection, as reported to its user.
 *
 *   up --broken (credentials, another account, may not trade)--> down    at once
 *   up --failing, `CHECKS_IN_DOUBT` checks in a row over `DOUBT_MS`--> down
 *   down, broken --ok--> up                                              at once
 *   down, failing --ok, in a row and over a time as above--> up
 *
 * `error.brokerDisconnected` is written with the step to `down`, and `broker.connected` with the
 * step back: once per episode, independent of the number of checks and workers. A change that lasts
 * less than `DOUBT_MS` is no episode (CON-04); `onFinding` counts it all the same.
 */
export type HealthDeps = LoginDeps &
  Readonly<{
    store: Store
    clock: Clock
    onFinding(kind: Finding['kind']): void
  }>

const CHECKS_IN_DOUBT = 3
const DOUBT_MS = 20_000
/** If the connection changes during this many checks in a row, the job checks it again later. */
const CHANGES_MAX = 3

/**
 * The result of a check. Only after `ok` may the account be read into the state. `isInDoubt`: check
 * again soon.
 */
export type Checked = Readonly<{ finding: Finding['kind']; isInDoubt: boolean }>

/**
 * Checks the connection, and reports a change of its health to the user. A finding counts only
 * while the connection still has the credentials that were checked.
 */
export async function checkConnection(deps: HealthDeps, ref: ConnectionRef): Promise<Checked> {
  for (let changes = 0; changes < CHANGES_MAX; changes += 1) {
    const login = await logIn(deps, ref)
    deps.onFinding(login.finding.kind)
    const checked = login.finding.kind === 'outdated' ? null : await tell(deps, ref, login)
    if (checked !== null) return checked
  }
  return { finding: 'outdated', isInDoubt: true }
}

/** @returns `null`: the connection changed or was removed, and no health was written */
async function tell(
  deps: HealthDeps,
  ref: ConnectionRef,
  { finding, revision }: Login,
): Promise<Checked | null> {
  const at = isoTime(deps.clock.now())
  let refused: Health | null = null
  return retryOnConflict<Checked | null>(ref.userId, async () => {
    const { version, health } = await deps.store.loadHealth(ref.userId, ref.connectionId)
    const before = health ?? UP
    // If the refused commit is in the store, it was applied and only its reply was lost. The check
    // must not count as a second doubt.
    if (refused !== null && isDeepStrictEqual(before, refused))
      return { finding: finding.kind, isInDoubt: before.doubts > 0 }
    const next = nextHealth(before, finding, at)
    const checked = { finding: finding.kind, isInDoubt: next.doubts > 0 }
    if (JSON.stringify(next) === JSON.stringify(before)) return checked
    // The revision is read after the version. If the connection is forgotten after this point, the
    // version changes, so a health from this check is refused or forgotten as well.
    if ((await deps.connections.get(ref))?.revision !== revision) return null
    const commit = {
      expectVersion: version,
      fence: { kind: 'version' },
      writes: [{ kind: 'health', connectionId: ref.connectionId, health: next }],
      events: eventsOf(ref, before, next, finding),
    } as const
    if ((await deps.store.commit(ref.userId, commit)).kind !== 'committed') {
      refused = next
      return CONFLICT
    }
    if (next.state !== before.state)
      deps.log.warn({ ...ref, state: next.state, reason: next.reason }, 'connection.health')
    return checked
  })
}

/** The health before the first report to the user. */
const UP: Health = {
  schema: 2,
  state: 'up',
  cause: null,
  doubts: 0,
  doubtSince: null,
  reason: null,
  since: '',
}

function nextHealth(health: Health, finding: Finding, at: string): Health {
  const settled = { ...health, doubts: 0, doubtSince: null }
  switch (finding.kind) {
    case 'skipped':
    case 'outdated':
      return health
    case 'broken':
      if (health.state === 'down' && health.cause === 'broken')
        return { ...settled, reason: finding.reason, code: finding.code }
      return downFrom(health, 'broken', finding, at)
    case 'failing':
      if (health.state === 'down') return settled
      return doubted(health, at, () => downFrom(health, 'failing', finding, at))
    case 'ok': {
      if (health.state === 'up') return settled
      const up: Health = { ...UP, since: at }
      return health.cause === 'broken' ? up : doubted(health, at, () => up)
    }
  }
}

const downFrom = (
  health: Health,
  cause: 'broken' | 'failing',
  { reason, code }: Pick<Problem, 'reason' | 'code'>,
  at: string,
): Health => ({
  schema: 2,
  state: 'down',
  cause,
  doubts: 0,
  doubtSince: null,
  reason,
  code,
  since: health.state === 'down' ? health.since : at,
})

/** Counts one more finding against the current state; applies `change` after enough of them. */
function doubted(health: Health, at: string, change: () => Health): Health {
  const doubts = Math.min(health.doubts + 1, CHECKS_IN_DOUBT)
  const doubtSince = health.doubtSince ?? at
  const isBelieved =
    doubts >= CHECKS_IN_DOUBT && Date.parse(at) - Date.parse(doubtSince) >= DOUBT_MS
  return isBelieved ? change() : { ...health, doubts, doubtSince }
}

function eventsOf(
  ref: ConnectionRef,
  before: Health,
  after: Health,
  finding: Finding,
): LoggedEvent[] {
  if (after.state === before.state) return []
  const about = {
    brokerType: 'alpaca',
    brokerConnectionId: ref.connectionId,
    timestamp: after.since,
  } as const
  if (after.state === 'up') return [{ event: 'broker.connected', payload: about }]
  const { action, code } = 'action' in finding ? finding : { action: '', code: 'UNREACHABLE' }
  return [
    {
      event: 'error.brokerDisconnected',
      payload: { ...about, reason: after.reason ?? '', code, action },
    },
  ]
}
