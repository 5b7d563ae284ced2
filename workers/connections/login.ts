import type { Logger } from '#runtime'
import type { BrokerConnection, ConnectionRef, Connections, LinkOutcome, Links } from '#store'
import { BrokerError, type BrokerPool, ConnectionUnusableError } from '../broker/index.ts'

/** What the user is told: why, and what to do. `code` is for programs. */
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

/** What a login showed. `ok`: the account may trade, and is the one that the connection is for. */
export type Finding =
  | Readonly<{ kind: 'ok' }>
  /** Passes by itself. */
  | Readonly<{ kind: 'failing' } & Problem>
  /** Stays until somebody does something. */
  | Readonly<{ kind: 'broken' } & Problem>
  /** Nothing was learnt of the connection. */
  | Readonly<{ kind: 'skipped' }>
  /** It was given other credentials while the broker was asked, or was removed. */
  | Readonly<{ kind: 'outdated' }>

/** A finding, and the revision of the connection that it is of; `null`: there is none. */
export type Login = Readonly<{ finding: Finding; revision: string | null }>

export type LoginDeps = Readonly<{
  connections: Connections
  links: Links
  brokers: BrokerPool
  log: Logger
}>

const CHECK_KEYS = 'Verify API keys in Settings → Brokers'

/** What is wrong with a login that the broker accepted. */
const PROBLEM_OF: Readonly<Record<Exclude<LinkOutcome, 'verified'>, Finding>> = {
  // Another account is another connection: what is open on the first one stays frozen, and is never
  // carried over (MUL-02).
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
 * Logs in at the broker and compares the account with the one that the connection is for (MUL-02,
 * MUL-06). Submissions pass once that is verified, and no longer when the credentials are refused
 * (CON-05). Throws only for want of the store.
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
      log.error({ ...ref, error }, 'connection.check_failed') // ours, not the broker's
      return { kind: 'skipped' }
    }
    if (error.code === 'RATE_LIMITED') return { kind: 'skipped' } // the account works; there is just no budget to ask
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
  // A connection that is being removed is followed to its end, and sends cancels at most: claims
  // with it are refused.
  if (canTrade || connection.leaving !== undefined) return { kind: 'ok' }
  const reason = `Account cannot trade: ${why ?? 'no reason given'}`
  return { kind: 'broken', code: 'ACCOUNT_BLOCKED', reason, action: 'Contact the broker' }
}
