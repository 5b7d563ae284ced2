import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { networkInterfaces } from 'node:os'
import type { Duplex } from 'node:stream'
import type { Clock, Logger, Randomness } from '#runtime'
import { NODE_HEARTBEAT_MS, type RelayNode, type Relays } from '#store'
import { type ForwardTarget, forwardRequest, forwardUpgrade, type HopResult } from './forward.ts'

export type RoutingDeps = Readonly<{
  clock: Clock
  random: Randomness
  log: Logger
  relays: Relays
  /** Told of each request for a session of another relay; `unknown`: there is no such relay, or it does not answer. */
  onHop: (result: 'served' | 'unknown' | 'failed') => void
}>

/**
 * No sticky sessions (D12). The id of each Engine.IO session starts with the relay that owns it; whichever relay a request reaches
 * hands it over. An address never comes from the client: the owner is looked up among the relays that are up. A request makes one
 * hop at most, and only with the owner's own key; what is left over is answered here, by an engine that does not know the session.
 */
const HOP_HEADER = 'x-fillcast-hop'
/** A request of a session, with the owner that the session's id names. */
const OWNED = /^\/socket\.io\/[^#]*[?&]sid=([A-Za-z0-9_-]{1,16})\./
/** Requests and upgraded connections that are handed over at once. */
const HOPS_MAX = 8_192
/** How long an owner's address is used without another look; longer while Redis does not answer. */
const NODE_FRESH_MS = 2_000
const NODES_KNOWN_MAX = 256

type HopAddress = Readonly<{ hopHost?: string | undefined; listenHost?: string | undefined }>
/** What may be done with one request: hand it over, or answer it here. */
type Ways = Readonly<{
  forward(to: ForwardTarget): Promise<HopResult>
  serve(): void
  refuse(status: 400 | 502): void
}>
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
    http.on('request', (request, response: ServerResponse) =>
      this.#route(request, {
        serve: () => requests.forEach((listener) => void listener.call(http, request, response)),
        forward: (to) => forwardRequest(request, response, to),
        refuse: (status) => void (response.headersSent ? response.destroy() : response.writeHead(status).end()),
      }),
    )
    http.on('upgrade', (request, socket, head) => {
      socket.on('error', ignore) // it may break while its owner is looked up
      this.#route(request, {
        serve: () => upgrades.forEach((listener) => void listener.call(http, request, socket, head)),
        forward: (to) => {
          this.#tunnels.add(socket)
          return forwardUpgrade(request, socket, head, to).finally(() => this.#tunnels.delete(socket))
        },
        refuse: (status) => void socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`),
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

  #route(request: IncomingMessage, ways: Ways): void {
    const key = request.headers[HOP_HEADER]
    const owner = OWNED.exec(request.url ?? '')?.[1]
    if (key !== undefined && key !== this.#hopKey) request.url = '/' // nobody but a relay has any business with this header
    if (key !== undefined || owner === undefined || owner === this.#nodeId) this.#serve(ways)
    else void this.#handOver(owner, ways)
  }

  /** Answers here. Whatever is thrown on the way is the end of this request, and of nothing else. */
  #serve(ways: Ways): void {
    try {
      ways.serve()
    } catch (error) {
      this.#deps.log.warn({ error }, 'relay.request_failed')
      ways.refuse(400)
    }
  }

  async #handOver(owner: string, ways: Ways): Promise<void> {
    const result = await this.#forward(owner, ways).catch((error: unknown): HopResult => {
      this.#deps.log.error({ error }, 'relay.hop_failed')
      return 'bad_answer'
    })
    this.#deps.onHop(result === 'served' ? 'served' : result === 'unreachable' ? 'unknown' : 'failed')
    if (result === 'unreachable') this.#serve(ways)
    else if (result !== 'served') ways.refuse(result === 'bad_request' ? 400 : 502)
  }

  async #forward(owner: string, ways: Ways): Promise<HopResult> {
    if (this.#hops >= HOPS_MAX) return 'unreachable'
    this.#hops += 1
    try {
      const node = await this.#find(owner)
      return node === null ? 'unreachable' : await ways.forward({ ...node, header: [HOP_HEADER, node.hopKey] })
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
