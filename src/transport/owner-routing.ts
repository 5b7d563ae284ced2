import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { networkInterfaces } from 'node:os'
import type { Duplex } from 'node:stream'
import type { Clock, Logger, Randomness } from '#runtime'
import { NODE_HEARTBEAT_MS, type RelayNode, type Relays } from '#store'
import { type ForwardTarget, forwardRequest, forwardUpgrade } from './forward.ts'

export type RoutingDeps = Readonly<{
  clock: Clock
  random: Randomness
  log: Logger
  relays: Relays
  /** Told of each request for a session of another relay. */
  onHop: (result: 'served' | 'unknown') => void
}>

/**
 * No sticky sessions (D12). The id of each Engine.IO session starts with the relay that owns it; whichever relay a request reaches
 * hands it over. An address never comes from the client: the owner is looked up among the relays that are up. A request makes one
 * hop at most, and only with the owner's own key; what is left over is answered here, by an engine that does not know the session.
 */
const HOP_HEADER = 'x-fillcast-hop'
/** Requests and upgraded connections that are handed over at once. */
const HOPS_MAX = 8_192
/** How long an owner's address is used without another look; longer while Redis does not answer. */
const NODE_FRESH_MS = 2_000
const NODES_KNOWN_MAX = 256

type HopAddress = Readonly<{ hopHost?: string | undefined; listenHost?: string | undefined }>
type Forward = (to: ForwardTarget) => Promise<boolean>
type Known = Readonly<{ node: RelayNode | null; atMs: number }>

export class OwnerRouting {
  readonly #deps: RoutingDeps
  readonly #nodeId: string
  readonly #hopKey: string
  readonly #known = new Map<string, Known>()
  readonly #tunnels = new Set<Duplex>()
  #hops = 0

  constructor(deps: RoutingDeps) {
    this.#deps = deps
    this.#nodeId = deps.random.id(12)
    this.#hopKey = deps.random.id(24)
  }

  /** A session id that names its owner. It is a capability, so most of it is random. */
  newSessionId = (): string => `${this.#nodeId}.${this.#deps.random.id(15)}`

  /** Stands before the listeners that `http` has so far. */
  attach(http: Server): void {
    const [requests, upgrades] = [http.listeners('request'), http.listeners('upgrade')]
    http.removeAllListeners('request').removeAllListeners('upgrade')
    http.on('request', (request, response: ServerResponse) => {
      const serve = (): void => requests.forEach((listener) => void listener.call(http, request, response))
      this.#route(request, serve, (to) => forwardRequest(request, response, to))
    })
    http.on('upgrade', (request, socket, head) => {
      const serve = (): void => upgrades.forEach((listener) => void listener.call(http, request, socket, head))
      socket.on('error', ignore) // it may break while its owner is looked up
      this.#route(request, serve, async (to) => {
        this.#tunnels.add(socket)
        return forwardUpgrade(request, socket, head, to).finally(() => this.#tunnels.delete(socket))
      })
    })
  }

  /** Tells the other relays where this one is, now and from now on. @returns how to stop that */
  async announce({ hopHost, listenHost }: HopAddress, port: number): Promise<() => void> {
    const { clock, relays, log } = this.#deps
    const isWildcard = listenHost === undefined || listenHost === '0.0.0.0' || listenHost === '::'
    const host = hopHost ?? (isWildcard ? firstAddress() : listenHost)
    const announce = (): Promise<void> => relays.announce(this.#nodeId, { host, port, hopKey: this.#hopKey })
    await announce()
    return clock.every(NODE_HEARTBEAT_MS, () => {
      announce().catch((error: unknown) => log.warn({ error }, 'relay.not_announced'))
    })
  }

  /** The last step of a relay that stops: nobody owns anything here any more. */
  async retire(): Promise<void> {
    for (const socket of this.#tunnels) socket.destroy()
    await this.#deps.relays.retire(this.#nodeId).catch(ignore)
  }

  #route(request: IncomingMessage, serve: () => void, forward: Forward): void {
    const key = request.headers[HOP_HEADER]
    const owner = /[?&]sid=([A-Za-z0-9_-]{1,16})\./.exec(request.url ?? '')?.[1]
    if (key !== undefined && key !== this.#hopKey) request.url = '/' // nobody but a relay has any business with this header
    if (key !== undefined || owner === undefined || owner === this.#nodeId) {
      serve()
      return
    }
    void this.#handOver(owner, forward).then((isServed) => {
      this.#deps.onHop(isServed ? 'served' : 'unknown')
      if (!isServed) serve()
    })
  }

  async #handOver(owner: string, forward: Forward): Promise<boolean> {
    if (this.#hops >= HOPS_MAX) return false
    this.#hops += 1
    try {
      const node = await this.#find(owner)
      return node !== null && (await forward({ ...node, header: [HOP_HEADER, node.hopKey] }))
    } finally {
      this.#hops -= 1
    }
  }

  async #find(nodeId: string): Promise<RelayNode | null> {
    const nowMs = this.#deps.clock.monotonicMs()
    const known = this.#known.get(nodeId)
    if (known !== undefined && nowMs - known.atMs < NODE_FRESH_MS) return known.node
    try {
      const node = await this.#deps.relays.find(nodeId)
      if (this.#known.size >= NODES_KNOWN_MAX) this.#known.delete(this.#known.keys().next().value ?? '')
      this.#known.set(nodeId, { node, atMs: nowMs })
      return node
    } catch {
      return known?.node ?? null
    }
  }
}

/** An address of this machine that others can reach. */
function firstAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return all.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1'
}

const ignore = (): void => {}
