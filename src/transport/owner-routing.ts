import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Clock, Logger, Randomness } from '#runtime'
import { NODE_HEARTBEAT_MS, type RelayNode, type Relays } from '#store'
import { forwardRequest, type ForwardTarget, forwardUpgrade, type HopResult } from './forward.ts'
import { Nodes } from './nodes.ts'
import type { Outage } from './outage.ts'
import { readGoodBye, Tunnels } from './tunnels.ts'

export type RoutingDeps = Readonly<{
  clock: Clock
  random: Randomness
  log: Logger
  outage: Outage
  relays: Relays
  /**
   * Called with the result of each request for a session of another relay; `unknown`: there is no
   * such relay, or it does not answer.
   */
  onHop: (result: 'served' | 'unknown' | 'failed') => void
  /** Called with each TCP connection by which another relay hands requests over. */
  onColleague: (socket: Socket) => void
  /** Called with the sessions of this relay whose WebSocket leads through a relay that stops. */
  onLeaving: (sessionIds: ReadonlySet<string>) => void
}>

const HOP_HEADER = 'x-fillcast-hop'
/** A request of a session, with the owner that the session's id names. */
const OWNED = /^\/socket\.io\/[^#]*[?&]sid=(([A-Za-z0-9_-]{1,16})\.[^&]*)/
/** Requests and upgraded connections that are handed over at once. */
const HOPS_MAX = 8_192
/**
 * The path to which a stopping relay posts the ids of the sessions whose WebSockets lead through
 * it.
 */
const GOOD_BYE_PATH = '/good-bye'

/**
 * The status with which a request is refused that could not be handed over. `leaving`: this relay
 * takes no more upgrades.
 */
const REFUSED_WITH = { bad_request: 400, bad_answer: 502, leaving: 503 } as const

type HopAddress = Readonly<{ hopHost?: string | undefined; listenHost?: string | undefined }>
type Owned = Readonly<{ owner: string; sessionId: string }>
/** The ways to handle one request: hand it over, answer it here, or refuse it. */
type Ways = Readonly<{
  forward(to: ForwardTarget, owned: Owned): Promise<HopResult | 'leaving'>
  serve(): void
  refuse(status: (typeof REFUSED_WITH)[keyof typeof REFUSED_WITH]): void
}>

/**
 * Routes each request to the relay that owns its session; no sticky sessions are needed (D12). The
 * id of each Engine.IO session starts with the id of the relay that owns it, and every other relay
 * hands the session's requests over to that owner.
 * - An address never comes from the client: the owner is looked up among the relays that are up.
 * - A request makes one hop at most, and only with the owner's own key.
 * - If no such relay answers, or too many requests are handed over at once, the request is answered
 *   here, by an engine that does not know the session.
 */
export class OwnerRouting {
  readonly #deps: RoutingDeps
  readonly #nodeId: string
  readonly #hopKey: string
  readonly #nodes: Nodes
  readonly #tunnels = new Tunnels()
  #hops = 0
  #isLeaving = false
  #isRetired = false
  #announce = (): Promise<void> => Promise.resolve()

  constructor(deps: RoutingDeps) {
    this.#deps = deps
    this.#nodeId = deps.random.id(12)
    this.#hopKey = deps.random.id(24)
    this.#nodes = new Nodes(deps.clock, deps.relays)
  }

  /** A session id that names its owner. The id is a capability, so most of it is random. */
  newSessionId = (): string => `${this.#nodeId}.${this.#deps.random.id(15)}`

  /** Puts the routing before the present listeners of `http`. */
  attach(http: Server): void {
    const requests = http.listeners('request')
    const upgrades = http.listeners('upgrade')
    http.removeAllListeners('request').removeAllListeners('upgrade')
    http.on('request', (request, response: ServerResponse) => {
      if (request.headers[HOP_HEADER] === this.#hopKey && request.url === GOOD_BYE_PATH)
        return void readGoodBye(request, response).then(this.#deps.onLeaving, ignore)
      this.#route(request, {
        serve: () => requests.forEach((listener) => void listener.call(http, request, response)),
        forward: (to) => forwardRequest(request, response, to, this.#deps.clock),
        refuse: (status) =>
          void (response.headersSent ? response.destroy() : response.writeHead(status).end()),
      })
    })
    http.on('upgrade', (request, socket, head) => {
      socket.on('error', ignore) // the connection may break while its owner is looked up
      this.#route(request, {
        serve: () =>
          upgrades.forEach((listener) => void listener.call(http, request, socket, head)),
        // A client whose upgrade is refused goes on polling, and its polling requests are handed
        // over until the end.
        forward: (to, owned) =>
          this.#isLeaving
            ? Promise.resolve('leaving')
            : this.#tunnels.hold(
                { ...owned, socket },
                forwardUpgrade(request, socket, head, to, this.#deps.clock),
              ),
        refuse: (status) =>
          void socket.end(
            `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`,
          ),
      })
    })
  }

  /**
   * Announces the address of this relay to the other relays, now and at each heartbeat. @returns a
   * function that stops the heartbeats
   */
  async announce({ hopHost, listenHost }: HopAddress, port: number): Promise<() => void> {
    const { clock, relays, outage } = this.#deps
    const isWildcard = listenHost === undefined || listenHost === '0.0.0.0' || listenHost === '::'
    const host = hopHost ?? (isWildcard ? firstAddress() : listenHost)
    this.#announce = () => relays.announce(this.#nodeId, { host, port, hopKey: this.#hopKey })
    await this.#announce()
    return clock.every(NODE_HEARTBEAT_MS, () => {
      this.#announce().catch((error: unknown) => outage.failed('relay.not_announced', error))
    })
  }

  /**
   * Redis was away, and may have lost the record of this relay. The relay announces itself at once,
   * before clients ask other relays for their sessions.
   */
  announceAgain(): void {
    if (!this.#isRetired) this.#announce().catch(ignore) // the next heartbeat reports it
  }

  /**
   * The relay stops: it tunnels no more WebSockets, and asks the owners of the tunneled sessions to
   * close them with a good-bye.
   */
  async leave(): Promise<void> {
    this.#isLeaving = true
    const { clock, log } = this.#deps
    const header = ({ hopKey }: RelayNode) => [HOP_HEADER, hopKey] as const
    await this.#tunnels
      .sayGoodBye(clock, (owner) => this.#nodes.find(owner), header, GOOD_BYE_PATH)
      .catch((error: unknown) => log.warn({ error }, 'relay.tunnels_not_told'))
  }

  /** Number of WebSockets that lead through this relay to another one. */
  get tunnels(): number {
    return this.#tunnels.size
  }

  /**
   * The last step of a relay that stops: its record is removed, so no relay finds an owner here any
   * more.
   */
  async retire(): Promise<void> {
    this.#isRetired = true
    this.#tunnels.cutAll()
    await this.#deps.relays.retire(this.#nodeId).catch(ignore)
  }

  #route(request: IncomingMessage, ways: Ways): void {
    const key = request.headers[HOP_HEADER]
    const [, sessionId = '', owner] = OWNED.exec(request.url ?? '') ?? []
    if (key === this.#hopKey) this.#deps.onColleague(request.socket)
    else if (key !== undefined) request.url = '/' // not from a relay
    if (key !== undefined || owner === undefined || owner === this.#nodeId) this.#serve(ways)
    else void this.#handOver({ owner, sessionId }, ways)
  }

  /** Answers here. An exception of a listener ends this request only. */
  #serve(ways: Ways): void {
    try {
      ways.serve()
    } catch (error) {
      this.#deps.log.warn({ error }, 'relay.request_failed')
      ways.refuse(400)
    }
  }

  async #handOver(owned: Owned, ways: Ways): Promise<void> {
    const result = await this.#forward(owned, ways).catch((error: unknown) => {
      this.#deps.log.error({ error }, 'relay.hop_failed')
      return 'bad_answer' as const
    })
    this.#deps.onHop(
      result === 'served' ? 'served' : result === 'unreachable' ? 'unknown' : 'failed',
    )
    if (result === 'unreachable') this.#serve(ways)
    else if (result !== 'served') ways.refuse(REFUSED_WITH[result])
  }

  async #forward(owned: Owned, ways: Ways): Promise<HopResult | 'leaving'> {
    if (this.#hops >= HOPS_MAX) return 'unreachable'
    this.#hops += 1
    try {
      const node = await this.#nodes.find(owned.owner)
      if (node === null) return 'unreachable'
      const result = await ways.forward({ ...node, header: [HOP_HEADER, node.hopKey] }, owned)
      if (result === 'unreachable') this.#nodes.doubt(owned.owner)
      return result
    } finally {
      this.#hops -= 1
    }
  }
}

/** An address of this machine that other machines can reach. */
function firstAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return all.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1'
}

const ignore = (): void => {}
