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
 * - MUL-02: keys that no check has verified are used only to read the account. An order is placed
 *   or replaced only with the keys of its claim, and these keys were verified at the claim.
 * - MUL-07: no record of a connection is written after the event of its removal.
 */
export class LinkRules {
  readonly #store: FakeStore
  readonly #say: (finding: string) => void
  /** `<user> <connection> <revision>` of all credentials that were ever verified. */
  readonly #verified = new Set<string>()
  /** `<user> <trade> <revision>` of claims. */
  readonly #claimed = new Set<string>()
  /** `<user> <connection>` of removed connections whose removal was sent. */
  readonly #gone = new Set<string>()
  readonly #forgetting: ConnectionRef[] = []
  /** The violations of this step, unless the store refuses the commit. */
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
    if (this.#store.versionOf(userId) !== expectVersion) return // the store refuses it
    for (const write of writes) {
      if (write.kind === 'forget')
        this.#forgetting.push({ userId, connectionId: write.connectionId })
      const connectionId = connectionOf(write)
      if (connectionId === null || !this.#gone.has(`${userId} ${connectionId}`)) continue
      // A worker that has not noticed the loss of the store may have restored the connection.
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

  /** Reports violations of this step, and notes the connections whose removal was sent in it. */
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

/** True if the event reports the removal of the connection. */
export const isFarewell = (entry: Entry, { connectionId }: ConnectionRef): boolean =>
  fieldsOf(entry)['code'] === 'REMOVED' && fieldsOf(entry)['brokerConnectionId'] === connectionId

const endedUnsent = ({ endedAt, placements }: Order): boolean =>
  endedAt !== null && placements.every(({ status }) => status === 'denied')

function connectionOf(write: CommitArguments[1]['writes'][number]): string | null {
  switch (write.kind) {
    case 'order':
      // An order that was never sent may still end after the removal: refused because the
      // connection is gone, or canceled by its user.
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
 * CON-04: the events of a connection alternate between disconnected and connected, and at
 * quiescence the last one is true. A connection that was linked again and never connected may be
 * removed twice in a row.
 * @param isUp whether the connection can be used now
 * @param linked how often the connection was linked after a time without a link
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
    // A removal is sent also if the last event was a disconnect.
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
 * MUL-06: at quiescence no removed connection holds a broker account, because no other connection
 * could be linked to this account.
 */
export function heldByNobody({ controls }: FakeStore): string[] {
  return [...controls.holders()].flatMap(([account, holder]) => {
    const [userId = '', connectionId = ''] = holder.split(' ')
    return controls.linked({ userId, connectionId }) === null
      ? [`MUL-06 ${account} is held by ${holder}, which is gone`]
      : []
  })
}
