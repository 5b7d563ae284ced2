import type { IncomingMessage } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import proxyAddr from 'proxy-addr'
import type { Clock } from '#runtime'
import { SlidingWindow } from './sliding-window.ts'

/**
 * The proxies whose X-Forwarded-For entries are trusted: their addresses and networks (10.0.0.0/8),
 * or how many of our proxies are in front of the relay. Each proxy appends the address that it was
 * called from. Entries before those of our proxies may be forged by any client.
 */
export type TrustedProxies = number | readonly string[]

export type AddressLimits = Readonly<{
  connectionsPerAddress: number
  handshakesPerSecond: number
  trustedProxies: TrustedProxies
}>

/** The reason why a connection is refused, and the message to the client. */
export type AddressObjection = readonly [reason: 'handshake_rate' | 'address_full', message: string]

/**
 * An address may open all of its connections at once. It may open as many again after the time in
 * which unauthenticated connections are closed.
 */
const FILL_MS = 5_000
const SECOND_MS = 1_000
/**
 * TCP connections of one client: a polling client holds one, sends over another, and may be about
 * to try a WebSocket.
 */
const TCP_PER_CONNECTION = 3
/** A browser keeps six connections to one server, even if its address has few clients. */
const TCP_SPARE = 16

type Entry = { connections: number; tcp: number; readonly handshakes: SlidingWindow }

/**
 * Counts the connections, TCP connections and handshakes of each client address. Kept are the
 * addresses with connections, and those of the last seconds: no more than the limit of handshakes
 * and the open files of the process allow. An IPv6 client has a whole network of 64 bits to choose
 * from, so such a network counts as one address.
 */
export class Addresses {
  readonly #limits: AddressLimits
  readonly #clock: Clock
  readonly #isTrusted: (address: string, distance: number) => boolean
  readonly #entries = new Map<string, Entry>()
  readonly #handshakes = new SlidingWindow(SECOND_MS)
  readonly #tcp = new WeakMap<Socket, Entry>()

  constructor(limits: AddressLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
    this.#isTrusted = trustOf(limits.trustedProxies)
  }

  /** The client's address, in the form under which it is counted. */
  of(request: IncomingMessage): string {
    return countedAs(proxyAddr(request, this.#isTrusted) ?? '')
  }

  /** Counts a handshake. @returns the reason of a refusal, or `null` */
  objection(request: IncomingMessage): AddressObjection | null {
    const { connectionsPerAddress, handshakesPerSecond } = this.#limits
    const nowMs = this.#clock.monotonicMs()
    if (this.#handshakes.count(nowMs) >= handshakesPerSecond)
      return [
        'handshake_rate',
        `More than ${handshakesPerSecond} handshakes in this second; try again`,
      ]
    const entry = this.#entryOf(this.of(request))
    if (entry.connections >= connectionsPerAddress)
      return [
        'address_full',
        `More than ${connectionsPerAddress} connections from this address; close some`,
      ]
    if (entry.handshakes.count(nowMs) >= connectionsPerAddress)
      return ['handshake_rate', 'Too many handshakes from this address; try again in a few seconds']
    this.#handshakes.add(nowMs)
    entry.handshakes.add(nowMs)
    return null
  }

  /** Counts a connection until the returned function is called. */
  hold(request: IncomingMessage): () => void {
    const entry = this.#entryOf(this.of(request))
    entry.connections += 1
    return () => void (entry.connections -= 1)
  }

  /**
   * Counts a TCP connection, with any content, until it is closed or excused. Connections of our
   * own proxies are not counted, because one of them carries the requests of many clients.
   * @returns `true` if the address may have one more TCP connection
   */
  admitTcp(socket: Socket): boolean {
    const { remoteAddress = '' } = socket
    if (this.#isTrusted(remoteAddress, 0)) return true
    const entry = this.#entryOf(countedAs(remoteAddress))
    if (entry.tcp >= this.#limits.connectionsPerAddress * TCP_PER_CONNECTION + TCP_SPARE)
      return false
    entry.tcp += 1
    this.#tcp.set(socket, entry)
    socket.once('close', () => this.excuseTcp(socket))
    return true
  }

  /**
   * Stops counting a TCP connection that belongs to a relay: that relay hands requests over by it.
   */
  excuseTcp(socket: Socket): void {
    const entry = this.#tcp.get(socket)
    if (entry === undefined) return
    entry.tcp -= 1
    this.#tcp.delete(socket)
  }

  /**
   * Forgets the addresses that have no connections and no recent handshakes; to be called from time
   * to time.
   */
  tick(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [address, { connections, tcp, handshakes }] of this.#entries)
      if (connections + tcp + handshakes.count(nowMs) === 0) this.#entries.delete(address)
  }

  #entryOf(address: string): Entry {
    const entry = this.#entries.get(address) ?? {
      connections: 0,
      tcp: 0,
      handshakes: new SlidingWindow(FILL_MS),
    }
    this.#entries.set(address, entry)
    return entry
  }
}

/** @throws {TypeError} an entry of the list is not an address */
export function trustOf(trusted: TrustedProxies): (address: string, distance: number) => boolean {
  return typeof trusted === 'number'
    ? (_address, distance) => distance < trusted
    : proxyAddr.compile([...trusted])
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
