import type { Socket } from 'node:net'
import { Cluster, type Redis, SentinelConnector } from 'ioredis'
import { systemClock } from './clock.ts'
import type { Logger } from './logger.ts'

// A TCP connection can die without a word: a firewall forgets it, a machine loses its power. What
// was written to it waits for ever, and a subscriber simply hears nothing more. So each connection
// is asked, and closed when nothing comes; ioredis then makes a new connection, subscribes again
// and sends again what was not answered.
//
// ioredis has `socketTimeout`, which is not used: its timer outlives the connection that it was set
// for, and then ends the next one, in good health (ioredis 5.11.1, Redis.js, setSocketTimeout).
// BullMQ watches its blocking command, and nothing else.

/** How long a connection may be silent. */
export type HeartbeatLimits = Readonly<{
  /**
   * Between two looks at a connection, ms; each look asks (PING), unless the last question is still
   * open.
   */
  beatMs: number
  /** Looks in a row without a byte from Redis, after which a connection is closed. */
  silentBeatsMax: number
  /** The same for a connection that lets Redis block it, which answers nothing until then. */
  blockedBeatsMax: number
}>

/**
 * Found and replaced within 6 s; a blocking connection within 15 s, since BullMQ blocks for up to
 * 10 s, or with the connection after whose image it was made. BullMQ has a watchdog of its own, 1 s
 * after the command should have returned.
 */
export const HEARTBEAT_LIMITS: HeartbeatLimits = {
  beatMs: 1_000,
  silentBeatsMax: 4,
  blockedBeatsMax: 13,
}

const streamOf = (redis: Redis): Socket => (redis as unknown as { stream: Socket }).stream

/** So many looks before a connection is closed it is no longer called ready. */
const DOUBT_BEATS = 2

/** `prompt`: answers every question at once. `blocking`: may be held by Redis for a while first. */
export type HeartbeatKind = 'prompt' | 'blocking'

/**
 * Looks, not time, are counted, so that a process that was stopped for a while does not blame its
 * connections.
 */
class Heartbeat {
  readonly #redis: Redis
  readonly #limits: HeartbeatLimits
  readonly #kind: HeartbeatKind
  readonly #onSilent: (silentMs: number) => void
  #stop = (): void => {}
  #silentBeats = 0

  constructor(
    redis: Redis,
    kind: HeartbeatKind,
    limits: HeartbeatLimits,
    onSilent: (silentMs: number) => void,
  ) {
    this.#redis = redis
    this.#limits = limits
    this.#kind = kind
    this.#onSilent = onSilent
    redis.on('connect', () => this.#start())
    redis.on('close', () => this.#stop())
  }

  /** Something should have come by now, and did not. */
  get isSilent(): boolean {
    return this.#silentBeats >= this.#silentBeatsMax - DOUBT_BEATS
  }

  get #silentBeatsMax(): number {
    // Before it is ready a connection is asked for its handshake only, which never blocks.
    const mayBlock = this.#kind === 'blocking' && this.#redis.status === 'ready'
    return mayBlock ? this.#limits.blockedBeatsMax : this.#limits.silentBeatsMax
  }

  #start(): void {
    this.#stop()
    const stream = streamOf(this.#redis)
    let { bytesRead } = stream
    let isAsked = false
    const answered = (): void => void (isAsked = false)
    const beat = (): void => {
      this.#silentBeats = stream.bytesRead === bytesRead ? this.#silentBeats + 1 : 0
      bytesRead = stream.bytesRead
      if (this.#silentBeats >= this.#silentBeatsMax) {
        this.#onSilent(this.#silentBeats * this.#limits.beatMs)
        stream.destroy()
      } else if (!isAsked && this.#redis.status === 'ready') {
        isAsked = true
        this.#redis.ping().then(answered, answered)
      }
    }
    const cancel = systemClock.every(this.#limits.beatMs, beat)
    this.#stop = () => {
      this.#silentBeats = 0
      cancel()
    }
  }
}

/**
 * What is known of a connection: its heartbeat (a Cluster has one a node), and the connections that
 * were made after its image.
 */
type Link = Readonly<{ heartbeat: Heartbeat | null; copies: Set<Redis> }>

const links = new WeakMap<Redis, Link>()

/**
 * Watches a connection from its next `connect` on, and every connection that is made after its
 * image (`duplicate`), which is taken for `blocking`: BullMQ's workers make theirs so.
 * @returns the same connection
 */
export function watchLink(
  redis: Redis,
  limits: HeartbeatLimits,
  log: Logger,
  kind: HeartbeatKind = 'prompt',
): Redis {
  const copies = new Set<Redis>()
  const isCluster = (redis as Redis | Cluster) instanceof Cluster
  const silent = (silentMs: number): void => {
    log.warn({ silentMs, kind }, 'redis.silent')
    // A copy goes the same way, and would take longer to find out.
    for (const copy of copies) streamOf(copy).destroy()
  }
  links.set(redis, {
    heartbeat: isCluster ? null : new Heartbeat(redis, kind, limits, silent),
    copies,
  })
  if (isCluster) redis.on('+node', (node: Redis) => watchLink(node, limits, log, kind))
  else watchSentinels(redis, limits, log)
  const duplicate = redis.duplicate.bind(redis)
  redis.duplicate = (...how: Parameters<typeof duplicate>) => {
    const copy = watchLink(duplicate(...how), limits, log, 'blocking')
    copies.add(copy)
    copy.on('end', () => copies.delete(copy))
    copy.on('connecting', () => copies.add(copy))
    return copy
  }
  return redis
}

/**
 * With Sentinels, a connection has one more to each of them, to hear at once that another server is
 * the master (`failoverDetector`): the old one may go on answering for a while, and would lose what
 * it is told. ioredis makes them, but does not watch them, does not hear their errors, and lets a
 * subscription that fails when one comes back end the process. (The connection that asks for the
 * master's address is made while the connection itself is made: its commands have a deadline.)
 */
function watchSentinels(redis: Redis, limits: HeartbeatLimits, log: Logger): void {
  const { connector } = redis as unknown as { connector: unknown }
  if (!(connector instanceof SentinelConnector)) return
  const maker = connector as unknown as { connectToSentinel(...how: unknown[]): Redis }
  const connect = maker.connectToSentinel.bind(maker)
  maker.connectToSentinel = (...how) => {
    const sentinel = connect(...how)
    const { options } = sentinel
    options.keepAlive = redis.options.keepAlive
    sentinel.on('error', (error: Error) => log.warn({ error }, 'redis.sentinel_error'))
    const listens = options.lazyConnect === true
    if (listens) {
      Object.assign(options, {
        autoResubscribe: false,
        maxRetriesPerRequest: null,
        commandTimeout: undefined,
      })
      sentinel.on('ready', () => void sentinel.subscribe('+switch-master').catch(() => {}))
    }
    return watchLink(sentinel, limits, log)
  }
}

/**
 * Why Redis cannot be counted on by these connections and those made after their image;
 * `undefined`: it can.
 */
export function linkTrouble(...connections: readonly Redis[]): string | undefined {
  for (const redis of connections) {
    const trouble = troubleOf(redis) ?? linkTrouble(...(links.get(redis)?.copies ?? []))
    if (trouble !== undefined) return trouble
  }
  return undefined
}

function troubleOf(redis: Redis | Cluster): string | undefined {
  if (redis.status !== 'ready') return 'Redis is away'
  if (redis instanceof Cluster) {
    // A node that was never needed is not connected to; the others are ready, or replaced.
    const used = redis.nodes().filter(({ status }) => status !== 'wait')
    return used.map(troubleOf).find((trouble) => trouble !== undefined)
  }
  return links.get(redis)?.heartbeat?.isSilent === true ? 'Redis does not answer' : undefined
}
