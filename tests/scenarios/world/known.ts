import { checkJobId } from '#contract'
import { type Clock, type Logger, RedisTime } from '#runtime'
import type { ConnectionRef, Controls, ControlSet, LinkedConnection } from '#store'
import { CHECK_EVERY_MS } from '../../../workers/connections/schedule.ts'
import {
  type ConnectionListener,
  ControlCache,
} from '../../../workers/connections/control-cache.ts'
import type { Owned } from './idle-tries.ts'
import type { Outside } from './outside.ts'
import type { Process } from './process.ts'
import type { ModelQueue } from './queue.ts'

/** The sources of a worker for the time and for connections. */
export type Known = Readonly<{
  clock: Clock
  controls: Controls
  recalled(ref: ConnectionRef): LinkedConnection | null
  /** `null`: not read yet. */
  setOf(userId: string): ControlSet | null
  knownStore(): Promise<string | null>
  blockedReason(): string | null
  /** When the store was found to have lost everything, or was used again after that. */
  lostAllMs(): number
  askForCheck(ref: ConnectionRef): void
  follow(listener: ConnectionListener): void
}>

/** Production reads the control sets so often. */
const READ_EVERY_MS = 1_000
/** A reading that nothing asks for, now and then. */
const ANYWAY_MS = 120_000
/** The interval in which production measures the time of Redis. */
const MEASURE_EVERY_MS = 5_000

/**
 * A worker that knows everything at once: connections that are there from the beginning, and the
 * time of the world.
 */
export function toldAtOnce(process: Process, outside: Outside): Known {
  const { queue, refs, store } = outside
  const { clock } = process
  const epoch = process.door('epoch', store.epoch, true)
  return {
    clock,
    controls: process.door('controls', outside.controls, true),
    recalled: (ref) => store.controls.linked(ref),
    setOf: (userId) => store.controls.setOf(userId),
    knownStore: () => epoch.read(),
    blockedReason: () => null,
    lostAllMs: () => store.wipedMs,
    askForCheck: ({ userId, connectionId }) =>
      void queue.add(
        ...(['connections', 'checkConnection', { userId, connectionId }] as const),
        `check ${userId} ${connectionId} ${clock.now()}`,
      ),
    follow: (listener) => refs.forEach((ref) => listener.changed(ref)),
  }
}

/** A worker as in production: it uses the time of Redis, and reads the control sets. */
export async function knownByReading(process: Process, outside: Outside): Promise<Known> {
  const { log, queue } = outside
  const clock = outside.trustsMachine ? process.clock : await sharedTime(process, outside)
  const controls = process.door('controls', outside.controls, true)
  let lostAllMs = -Infinity
  const lost = (): void => void (lostAllMs = outside.schedule.nowMs)
  const directory = openDirectory(process, outside, clock, controls, lost)
  return {
    clock,
    controls,
    recalled: (ref) => directory.connectionOf(ref),
    setOf: (userId) => directory.setOf(userId),
    knownStore: () => directory.knownStore(),
    blockedReason: () => directory.blockedReason,
    lostAllMs: () => lostAllMs,
    askForCheck(ref) {
      log.debug(ref, 'connection.check_asked')
      checkNow(queue, ref)
    },
    follow: (listener) => directory.listen(listener),
  }
}

/**
 * Measured at the start, and within a while of each jump of the machine's clock: in between it says
 * the same.
 */
function sharedTime(process: Process, { schedule, log }: Outside): Promise<RedisTime> {
  const time = async () => [Math.floor(schedule.nowMs / 1_000), (schedule.nowMs % 1_000) * 1_000]
  const local = withoutBeats(process.clock, (run) => {
    const measure = (): void =>
      void process.clock.after(schedule.chance.below(MEASURE_EVERY_MS), run)
    process.onJump.add(measure)
  })
  return RedisTime.start(process.door('time', { time }, true), local, log)
}

/**
 * The production directory. The readings that would find nothing are left out: it reads within a
 * second of each change of a control record or of the marker, at a moment that the seed draws;
 * after a reading that failed, within the next; and rarely anyway.
 */
function openDirectory(
  process: Process,
  outside: Outside,
  clock: Clock,
  controls: Controls,
  lost: () => void,
): ControlCache {
  const { schedule, store, log } = outside
  const epoch = process.door('epoch', store.epoch, true)
  const directory = new ControlCache({
    controls,
    epoch,
    clock: withoutBeats(clock),
    log,
    isStoreExpected: true,
    halts: { setGlobal() {}, setUser() {} },
    onLost: lost,
    onUsedAgain: lost,
  })
  let isPlanned = false
  const plan = (): void => {
    if (isPlanned) return
    isPlanned = true
    clock.after(1 + schedule.chance.below(READ_EVERY_MS), () => {
      isPlanned = false
      void directory.refresh().then((isRead) => (isRead ? undefined : plan()))
    })
  }
  store.controls.onChange.add(plan)
  process.onDeath(() => void store.controls.onChange.delete(plan))
  clock.every(ANYWAY_MS + schedule.chance.below(ANYWAY_MS), plan)
  plan()
  return directory
}

/** A clock without regular beats; `onBeat` gets the callbacks of the beats. */
const withoutBeats = (clock: Clock, onBeat: (run: () => void) => void = () => {}): Clock => ({
  now: () => clock.now(),
  monotonicMs: () => clock.monotonicMs(),
  sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
  after: (delayMs, run) => clock.after(delayMs, run),
  every: (_ms, run) => {
    onBeat(run)
    return () => {}
  },
})

/**
 * Owners of the connections that a worker hears of, as production's `ConnectionBalancer` keeps them
 * when every worker may take all.
 */
export function ownersOf(
  open: (ref: ConnectionRef) => Owned,
  log: Logger,
): ConnectionListener & { redisReconnected(): void } {
  const owners = new Map<string, Owned>()
  return {
    changed({ userId, connectionId }) {
      const key = `${userId} ${connectionId}`
      const owner = owners.get(key)
      if (owner === undefined) owners.set(key, open({ userId, connectionId }))
      else owner.refresh()
    },
    gone({ userId, connectionId }) {
      const key = `${userId} ${connectionId}`
      const owner = owners.get(key)
      owners.delete(key)
      owner
        ?.close()
        .catch((error: unknown) => log.error({ userId, connectionId, error }, 'owner.not_closed'))
    },
    lost() {
      for (const owner of owners.values()) owner.readopt()
    },
    redisReconnected() {
      for (const owner of owners.values()) owner.redisReconnected()
    },
  }
}

/**
 * Health checks as production schedules them: when a connection changes, and regularly; each time a
 * little later than there.
 */
export const checksOf = ({ queue, schedule }: Outside): ConnectionListener => ({
  changed({ userId, connectionId }) {
    const everyMs = (): number => CHECK_EVERY_MS + schedule.chance.below(CHECK_EVERY_MS)
    const id = checkJobId(userId, connectionId)
    queue.repeat(id, everyMs, 'connections', 'checkConnection', { userId, connectionId })
    checkNow(queue, { userId, connectionId })
  },
  gone: ({ userId, connectionId }) => queue.endRepeat(checkJobId(userId, connectionId)),
  lost() {},
})

function checkNow(queue: ModelQueue, { userId, connectionId }: ConnectionRef): void {
  const id = `now-${checkJobId(userId, connectionId)}`
  queue.addPassing('connections', 'checkConnection', { userId, connectionId }, id)
}
