import { EVENT_ID_ZERO, type LoggedEvent } from '#contract'
import type { Order } from '#domain'
import type { CancelMark, Tombstone, WaitingMark, Write } from '#store'
import { parsedOnce } from './parsed.ts'

export type Entry = Readonly<{ id: string; prev: string } & LoggedEvent>

/**
 * Records are stored as text, as Redis stores them, so that no caller shares an object with the
 * store: read records are frozen.
 */
export class FakeUser {
  version = '0'
  last = EVENT_ID_ZERO
  /** The last id that the log ever gave. */
  logTop = EVENT_ID_ZERO
  readonly records = new Map<string, string>()
  readonly claims = new Map<string, string>()
  readonly refs = new Map<string, string>()
  readonly archive = new Map<string, string>()
  readonly tombstones = new Map<string, string>()
  readonly log: Entry[] = []
  /** Entries up to this id were trimmed from the log: no relay can read them any more. */
  trimmedTo = EVENT_ID_ZERO

  copy(): FakeUser {
    const copy = new FakeUser()
    copy.version = this.version
    copy.last = this.last
    copy.logTop = this.logTop
    copy.trimmedTo = this.trimmedTo
    for (const name of ['records', 'claims', 'refs', 'archive', 'tombstones'] as const)
      for (const [key, text] of this[name]) copy[name].set(key, text)
    copy.log.push(...this.log)
    return copy
  }

  append(entry: Entry): void {
    this.log.push(entry)
    this.last = entry.id
    this.logTop = entry.id
  }

  read<T>(name: string): T | null {
    const text = this.records.get(name)
    return text === undefined ? null : parsedOnce<T>(text)
  }

  hasHeardOf(orderId: string): boolean {
    return this.records.has(`order:${orderId}`) || this.records.has(`cancel:${orderId}`)
  }

  archived(orderId: string): Order | null {
    const text = this.archive.get(orderId)
    return text === undefined ? null : parsedOnce<Order>(text)
  }

  marks(): WaitingMark[] {
    return [...this.records].flatMap(([name, text]) => {
      if (!name.startsWith('cancel:')) return []
      const { requestedAt } = parsedOnce<CancelMark>(text)
      return [{ tradeId: name.slice('cancel:'.length), requestedAt }]
    })
  }

  tombstone(orderId: string): Tombstone | null {
    const hash = this.tombstones.get(orderId)
    return hash === undefined ? null : { parametersHash: hash === '' ? null : hash }
  }

  all<T>(prefix: string): T[] {
    return [...this.records]
      .filter(([name]) => name.startsWith(prefix))
      .map(([, text]) => parsedOnce<T>(text))
  }

  apply(write: Write): void {
    switch (write.kind) {
      case 'order':
        return this.#write(`order:${write.order.id}`, write.order)
      case 'account':
        return this.#write(`account:${write.account.connectionId}`, write.account)
      case 'position':
        return this.#write(`position:${write.connectionId}:${write.symbol}`, write.position)
      case 'health':
        return this.#write(`health:${write.connectionId}`, write.health)
      case 'cancelMark':
        return this.#write(`cancel:${write.tradeId}`, write.mark)
      case 'waitingMarks':
        return this.#write('cancels', write.marks)
      case 'ref':
        if (write.orderId === null) this.refs.delete(write.brokerOrderId)
        else this.refs.set(write.brokerOrderId, write.orderId)
        return
      case 'archive':
        return this.#archive(write.order)
      case 'forget':
        return this.#forget(write.connectionId)
    }
  }

  #archive(order: Order): void {
    this.archive.set(order.id, JSON.stringify(order))
    if (order.origin === 'fillcast') this.tombstones.set(order.id, order.parametersHash ?? '')
    this.records.delete(`order:${order.id}`)
    this.records.delete(`cancel:${order.id}`)
    this.claims.delete(order.id)
    for (const { brokerOrderId } of order.placements) this.refs.delete(brokerOrderId ?? '')
  }

  #forget(connectionId: string): void {
    for (const order of this.all<Order>('order:'))
      if (order.connectionId === connectionId) this.#archive(order)
    for (const name of this.records.keys())
      if (new RegExp(`^(account|health|position):${connectionId}(:|$)`).test(name))
        this.records.delete(name)
  }

  #write(name: string, value: object | null): void {
    if (value === null) this.records.delete(name)
    else this.records.set(name, JSON.stringify(value))
  }
}
