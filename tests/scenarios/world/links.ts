import { type Order, readClientOrderId } from '#domain'
import { type BrokerConnection, type ConnectionRef, isVerified } from '#store'
import type { OrderTicket, ReplaceTicket } from '../../../workers/broker/port.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import { type Entry, fieldsOf } from './log-checks.ts'
import type { Heard, PortCall, Process } from './process.ts'

type CommitArguments = Parameters<FakeStore['commit']>

/**
 * The rules about keys and connections.
 *
 * - MUL-02: nothing but the account itself is asked with keys that no check has verified; an order
 *   is placed or replaced only with the keys that its claim named, and these were verified then.
 * - MUL-07: nothing of a connection is written after its user was told that it is gone.
 */
export class LinkRules {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  /** `<user> <connection> <revision>` of credentials that were verified at some time. */
  readonly #verified = new Set<string>()
  /** `<user> <trade> <revision>` of claims. */
  readonly #claimed = new Set<string>()
  /** `<user> <connection>` of those that are gone, and were told to be. */
  readonly #gone = new Set<string>()
  readonly #forgetting: ConnectionRef[] = []
  /** What speaks against a rule in this step, if the store does not refuse it. */
  readonly #late: { userId: string; version: string; finding: string }[] = []
  #losses = 0

  constructor(store: FakeStore, say: (finding: string) => void) {
    this.#store = store
    this.#say = say
    store.controls.onChange.add((userId) => (userId === null ? undefined : this.#changed(userId)))
  }

  /** A request leaves for the broker with the credentials of `connection`. */
  calling(
    { name }: Process,
    connection: BrokerConnection,
    method: string,
    args: readonly unknown[],
  ): void {
    const { userId, connectionId, revision } = connection
    if (method === 'readAccount') return
    if (!this.#verified.has(`${userId} ${connectionId} ${revision}`))
      this.#say(
        `MUL-02 ${name} calls ${method} with keys of ${connectionId} that no check has verified`,
      )
    if (method !== 'submit' && method !== 'replace') return
    const { clientOrderId } = (args as [OrderTicket | ReplaceTicket])[0]
    const { tradeId = '' } = readClientOrderId(clientOrderId, userId) ?? {}
    if (!this.#claimed.has(`${userId} ${tradeId} ${revision}`))
      this.#say(
        `MUL-02 ${name} calls ${method} for ${tradeId} with other keys than those of its claim`,
      )
  }

  committing({ label, args }: PortCall): void {
    if (label !== 'store.commit') return
    const [userId, { writes, expectVersion }] = args as CommitArguments
    if (this.#store.versionOf(userId) !== expectVersion) return // nothing comes of it
    for (const write of writes) {
      if (write.kind === 'forget')
        this.#forgetting.push({ userId, connectionId: write.connectionId })
      const connectionId = connectionOf(write)
      if (connectionId === null || !this.#gone.has(`${userId} ${connectionId}`)) continue
      // A worker that had not seen yet that the store lost everything may have given it back.
      if (this.#store.controls.linked({ userId, connectionId }) !== null) continue
      const finding = `MUL-07 ${write.kind} of ${connectionId} is written, and its user was told that it is gone`
      this.#late.push({ userId, version: expectVersion, finding })
    }
  }

  heard({ label, args }: PortCall, outcome: Heard): void {
    if (label !== 'store.commit' || !outcome.isDone) return
    const [userId, { fence }] = args as CommitArguments
    if ((outcome.value as { kind: string }).kind !== 'committed') return
    if (fence.kind === 'take' || fence.kind === 'change')
      this.#claimed.add(`${userId} ${fence.tradeId} ${fence.revision}`)
  }

  /** What is forgotten, and told to be, in this step. */
  afterStep(): void {
    const { losses, controls } = this.#store
    if (losses > this.#losses) this.#gone.clear()
    this.#losses = losses
    if (this.#late.length === 0 && this.#forgetting.length === 0) return
    for (const { userId, version, finding } of this.#late.splice(0))
      if (this.#store.versionOf(userId) !== version) this.#say(finding)
    for (const ref of this.#forgetting.splice(0)) {
      const isTold = this.#store
        .log(ref.userId)
        .slice(-FAREWELL)
        .some((entry) => isFarewell(entry, ref))
      if (isTold && controls.linked(ref) === null)
        this.#gone.add(`${ref.userId} ${ref.connectionId}`)
    }
  }

  #changed(userId: string): void {
    for (const connectionId of this.#store.controls.connectionIds(userId)) {
      const linked = this.#store.controls.linked({ userId, connectionId })
      if (linked === null) continue
      this.#gone.delete(`${userId} ${connectionId}`)
      if (isVerified(linked))
        this.#verified.add(`${userId} ${connectionId} ${linked.connection.revision}`)
    }
  }
}

/** Events of a removal. */
const FAREWELL = 2

/** Whether it tells that the connection was removed. */
export const isFarewell = (entry: Entry, { connectionId }: ConnectionRef): boolean =>
  fieldsOf(entry)['code'] === 'REMOVED' && fieldsOf(entry)['brokerConnectionId'] === connectionId

const endedUnsent = ({ endedAt, placements }: Order): boolean =>
  endedAt !== null && placements.every(({ status }) => status === 'denied')

function connectionOf(write: CommitArguments[1]['writes'][number]): string | null {
  switch (write.kind) {
    case 'order':
      // What was asked for before and never sent is told as ended: refused for want of the
      // connection, or canceled by its user.
      return endedUnsent(write.order) ? null : write.order.connectionId
    case 'account':
      return write.account.connectionId
    case 'position':
    case 'health':
      return write.connectionId
    default:
      return null
  }
}

/**
 * CON-04: the user of a connection is told by turns that it is away and that it is back; and at
 * rest the last word is true. A connection that was linked anew, and never came up, is removed once
 * more.
 * @param isUp whether it can be used now
 * @param linked how often it was linked after it had not been there
 */
export function mistoldHealth(
  log: readonly Entry[],
  { connectionId }: ConnectionRef,
  isUp: boolean,
  linked: number,
): string[] {
  const findings: string[] = []
  let last: string | null = null
  let removed = 0
  for (const entry of log) {
    const { brokerConnectionId, code } = fieldsOf(entry)
    if (brokerConnectionId !== connectionId) continue
    if (entry.event !== 'error.brokerDisconnected' && entry.event !== 'broker.connected') continue
    // A removal is told whatever was told before it.
    const word = code === 'REMOVED' ? 'removed' : entry.event
    if (word === 'removed') removed += 1
    const isOfAnother = word === 'removed' && removed <= linked
    if (word === last && !isOfAnother)
      findings.push(`CON-04 ${last} of ${connectionId} twice, the second time at ${entry.id}`)
    last = word
  }
  if (isUp && last === 'error.brokerDisconnected')
    findings.push(`CON-04 ${connectionId} is up, and its user was told that it is not`)
  return findings
}

/**
 * MUL-06: at rest no broker account is held by a connection that is gone: nobody else could link
 * it.
 */
export function heldByNobody({ controls }: FakeStore): string[] {
  return [...controls.holders()].flatMap(([account, holder]) => {
    const [userId = '', connectionId = ''] = holder.split(' ')
    return controls.linked({ userId, connectionId }) === null
      ? [`MUL-06 ${account} is held by ${holder}, which is gone`]
      : []
  })
}
