import type { Socket } from 'node:net'
import { Cluster, type Redis, SentinelConnector } from 'ioredis'
import { systemClock } from './clock.ts'
import type { Logger } from './logger.ts'

// A TCP connection can die silently: a firewall drops it, a machine loses its power. Commands on
// that connection then wait for ever, and a subscriber simply gets no more messages. So each
// connection is sent a PING, and closed if no byte comes back; ioredis then makes a new connection,
// subscribes again and sends the unanswered commands again.
//
// ioredis has `socketTimeout`, which is not used: its timer outlives the connection that it was set
// for, and then ends the next connection, which is healthy (ioredis 5.11.1, Redis.js,
// setSocketTimeout). BullMQ watches its blocking command only.

/** How long a connection may be silent. */
export type HeartbeatLimits = Readonly<{
  /**
   * The interval between two checks of a connection, ms. Each check sends a PING, unless the
   * previous PING is unanswered.
   */
  beatMs: number
  /** Checks in a row without a byte from Redis, after which a connection is closed. */
  silentBeatsMax: number
  /**
   * The same for a connection with a blocking command, which Redis does not answer until the block
   * ends.
   */
  blockedBeatsMax: number
}>

/**
 * A dead connection is found and replaced within 6 s. A blocking connection is replaced within 15
 * s, since BullMQ blocks for up to 10 s, or together with the connection from which it was
 * duplicated. BullMQ has a watchdog of its own, 1 s after the command should have returned.
 */
export const HEARTBEAT_LIMITS: HeartbeatLimits = {
  beatMs: 1_000,
  silentBeatsMax: 4,
  blockedBeatsMax: 13,
}

const streamOf = (redis: Redis): Socket => (redis as unknown as { stream: Socket }).stream

/** A connection stops counting as ready this many checks before it is closed. */
const DOUBT_BEATS = 2

/**
 * `prompt`: Redis answers every command at once. `blocking`: Redis may hold a command for a while
 * first.
 */
export type HeartbeatKind = 'prompt' | 'blocking'

/**
 * Counts checks, not time, so that a process that was stopped for a while does not close its
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

  /** An answer should have come by now, and did not. */
  get isSilent(): boolean {
    return this.#silentBeats >= this.#silentBeatsMax - DOUBT_BEATS
  }

  get #silentBeatsMax(): number {
    // Before a connection is ready it sends its handshake only, which never blocks.
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
 * The state of a connection: its heartbeat (a Cluster has one for each node), and its duplicates.
 */
type Link = Readonly<{ heartbeat: Heartbeat | null; copies: Set<Redis> }>

const links = new WeakMap<Redis, Link>()

/**
 * Watches a connection from its next `connect` on, and every duplicate of it (`duplicate`). A
 * duplicate counts as `blocking`, because BullMQ's workers make their blocking connections so.
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
    // A duplicate is dead too, and would take longer to notice.
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
 * Watches the connections to the Sentinels. With Sentinels, ioredis makes one more connection to
 * each of them, to learn at once that another server is the master (`failoverDetector`): the old
 * master may go on answering for a while, and its writes would be lost. ioredis does not watch
 * these connections and does not handle their errors, and if a subscription fails when one of them
 * comes back, the process ends. (The connection that asks for the master's address exists only
 * while the connection itself is made: its commands have a deadline.)
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
 * The reason why Redis cannot be relied on by these connections and their duplicates; `undefined`:
 * there is none.
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
    // A node that was never needed is not connected; the other nodes are ready, or replaced.
    const used = redis.nodes().filter(({ status }) => status !== 'wait')
    return used.map(troubleOf).find((trouble) => trouble !== undefined)
  }
  return links.get(redis)?.heartbeat?.isSilent === true ? 'Redis does not answer' : undefined
}
