import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'

export type AddressLimits = Readonly<{
  connectionsPerAddress: number
  /** Proxies of ours in front, each of which adds the address that it was called from to X-Forwarded-For. */
  trustedProxies: number
}>

/** Handshakes that one process takes in a second, whoever they come from. */
const HANDSHAKES_PER_SECOND_MAX = 1_000
/** An address may open all of its connections within the time in which an unauthenticated one is closed. */
const SECONDS_TO_FILL = 5

/**
 * Connections and handshakes of each client address. Kept: addresses with connections, and those of the last second. An IPv6 client
 * has a whole network of 64 bits to choose from, which therefore counts as one address.
 */
export class Addresses {
  readonly #limits: AddressLimits
  readonly #entries = new Map<string, { connections: number; handshakes: number }>()
  #handshakes = 0

  constructor(limits: AddressLimits) {
    this.#limits = limits
  }

  /** Counts a handshake. @returns why it is one too many, or `null` */
  objection(request: IncomingMessage): ['handshake_rate' | 'address_full', string] | null {
    const { connectionsPerAddress } = this.#limits
    const isBusy = this.#handshakes >= HANDSHAKES_PER_SECOND_MAX
    const entry = isBusy ? null : this.#entryOf(request)
    if (entry === null || entry.handshakes * SECONDS_TO_FILL >= connectionsPerAddress)
      return ['handshake_rate', 'Too many handshakes this second; try again']
    if (entry.connections >= connectionsPerAddress)
      return ['address_full', `More than ${connectionsPerAddress} connections from this address; close some`]
    this.#handshakes += 1
    entry.handshakes += 1
    return null
  }

  /** Counts a connection until what is returned is called. */
  hold(request: IncomingMessage): () => void {
    const entry = this.#entryOf(request)
    entry.connections += 1
    return () => void (entry.connections -= 1)
  }

  /** A second is over. */
  tick(): void {
    this.#handshakes = 0
    for (const [address, entry] of this.#entries)
      if (entry.connections === 0) this.#entries.delete(address)
      else entry.handshakes = 0
  }

  /** The client's address, as it is counted. Each proxy of ours adds the address that it was called from; what stands before that, anybody may have written. */
  of(request: IncomingMessage): string {
    const { trustedProxies } = this.#limits
    const forwarded = String(request.headers['x-forwarded-for'] ?? '').split(',')
    const claimed = trustedProxies === 0 ? undefined : forwarded.at(-trustedProxies)?.trim()
    return countedAs(claimed || (request.socket.remoteAddress ?? ''))
  }

  #entryOf(request: IncomingMessage) {
    const address = this.of(request)
    const entry = this.#entries.get(address) ?? { connections: 0, handshakes: 0 }
    this.#entries.set(address, entry)
    return entry
  }
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i
const GROUPS = 8
const NETWORK_GROUPS = 4

function countedAs(address: string): string {
  const mapped = MAPPED.exec(address)?.[1]
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address
  const [head = [], tail = []] = address.split('::').map((part) => part.split(':').filter(Boolean))
  const zeros = Array<string>(Math.max(0, GROUPS - head.length - tail.length)).fill('0')
  const network = [...head, ...zeros, ...tail].slice(0, NETWORK_GROUPS)
  return `${network.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}
