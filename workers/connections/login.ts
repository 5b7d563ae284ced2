import type { Logger } from '#runtime'
import type { BrokerConnection, ConnectionRef, Connections, LinkOutcome, Links } from '#store'
import { BrokerError, type BrokerPool, ConnectionUnusableError } from '../broker/index.ts'

/** A problem as the user reads it: the reason, and the action to take. `code` is for programs. */
export type Problem = Readonly<{
  code:
    | 'UNREACHABLE'
    | 'CREDENTIALS'
    | 'OTHER_ACCOUNT'
    | 'LINKED_ELSEWHERE'
    | 'ACCOUNT_BLOCKED'
    | 'UNUSABLE'
  reason: string
  action: string
}>

/** The result of a login. `ok`: the account may trade, and is the account of the connection. */
export type Finding =
  | Readonly<{ kind: 'ok' }>
  /** The problem passes by itself. */
  | Readonly<{ kind: 'failing' } & Problem>
  /** The problem stays until the user or the broker acts. */
  | Readonly<{ kind: 'broken' } & Problem>
  /** The login says nothing about the connection. */
  | Readonly<{ kind: 'skipped' }>
  /** The connection was removed, or got other credentials, during the login. */
  | Readonly<{ kind: 'outdated' }>

/** A finding, and the revision of the checked connection; `null`: the connection does not exist. */
export type Login = Readonly<{ finding: Finding; revision: string | null }>

export type LoginDeps = Readonly<{
  connections: Connections
  links: Links
  brokers: BrokerPool
  log: Logger
}>

const CHECK_KEYS = 'Verify API keys in Settings → Brokers'

/** Findings for logins that the broker accepted, but the links refused. */
const PROBLEM_OF: Readonly<Record<Exclude<LinkOutcome, 'verified'>, Finding>> = {
  // Another account needs another connection: orders and positions of the first account stay
  // frozen, and are never carried over (MUL-02).
  other_account: {
    kind: 'broken',
    code: 'OTHER_ACCOUNT',
    reason: 'The credentials lead to another account than this connection is for',
    action:
      'Enter credentials of the same account, or connect the other account as a new connection',
  },
  linked_elsewhere: {
    kind: 'broken',
    code: 'LINKED_ELSEWHERE',
    reason: 'The broker account is linked to another connection already',
    action: 'Remove the other connection first',
  },
  outdated: { kind: 'outdated' },
}

/**
 * Logs in at the broker and compares the account with the connection's account (MUL-02, MUL-06).
 * Submissions pass after this verification, and no longer pass once the credentials are refused
 * (CON-05). Throws only if the store is unavailable.
 */
export async function logIn(deps: LoginDeps, ref: ConnectionRef): Promise<Login> {
  const connection = await deps.connections.get(ref)
  if (connection === null) return { finding: { kind: 'skipped' }, revision: null }
  return { finding: await look(deps, connection), revision: connection.revision }
}

async function look(deps: LoginDeps, connection: BrokerConnection): Promise<Finding> {
  const { links, log } = deps
  const ref = { userId: connection.userId, connectionId: connection.connectionId }
  try {
    return await compare(deps, connection)
  } catch (error) {
    if (error instanceof ConnectionUnusableError)
      return { kind: 'broken', code: 'UNUSABLE', reason: error.message, action: CHECK_KEYS }
    if (!(error instanceof BrokerError)) {
      log.error({ ...ref, error }, 'connection.check_failed') // our error, not the broker's
      return { kind: 'skipped' }
    }
    // The account works; only the request budget is spent.
    if (error.code === 'RATE_LIMITED') return { kind: 'skipped' }
    if (error.code !== 'CREDENTIALS')
      return {
        kind: 'failing',
        code: 'UNREACHABLE',
        reason: 'The broker cannot be reached',
        action: 'Wait; Fillcast keeps trying',
      }
    await links.suspend(connection)
    return { kind: 'broken', code: 'CREDENTIALS', reason: error.message, action: CHECK_KEYS }
  }
}

async function compare(
  { links, brokers }: LoginDeps,
  connection: BrokerConnection,
): Promise<Finding> {
  const { brokerAccountId, canTrade, why } = await (await brokers.open(connection)).readAccount()
  const outcome = await links.verify(connection, brokerAccountId)
  if (outcome !== 'verified') return PROBLEM_OF[outcome]
  // A connection that is being removed is followed to its end. Its account need not trade, because
  // the connection only sends cancels: its claims are refused.
  if (canTrade || connection.leaving !== undefined) return { kind: 'ok' }
  const reason = `Account cannot trade: ${why ?? 'no reason given'}`
  return { kind: 'broken', code: 'ACCOUNT_BLOCKED', reason, action: 'Contact the broker' }
}
