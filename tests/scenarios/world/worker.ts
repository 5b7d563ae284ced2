import { commandJobId, type CommandName, resolveJobId } from '#contract'
import type { Change } from '#domain'
import type { Clock } from '#runtime'
import type { BrokerConnection, ConnectionRef } from '#store'
import type { Broker, TradeStreamListener } from '../../../workers/broker/port.ts'
import { BrokerPool } from '../../../workers/broker/pool.ts'
import { budgetOf, GuardedBroker } from '../../../workers/broker/guard.ts'
import { connectionHandler } from '../../../workers/connections/schedule.ts'
import { unlessBlocked } from '../../../workers/connections/control-cache.ts'
import { createFollowUps } from '../../../workers/queue/follow-up-jobs.ts'
import { createRiskFactsLoader, type LoadRiskFacts } from '../../../workers/orders/risk-facts.ts'
import type { JobQueue } from '../../../workers/queue/enqueue.ts'
import { orderHandler } from '../../../workers/orders/dispatch.ts'
import { DOUBT_MS, LOST_REQUEST_MS } from '../../../workers/redis-reconnects.ts'
import { ConnectionLease } from '../../../workers/accounts/lease.ts'
import { MarketHours } from '../../../workers/broker/hours.ts'
import { noMetrics } from '../../../workers/accounts/metrics.ts'
import { StateCache } from '../../../workers/state/cache.ts'
import { checksOf, type Known, knownByReading, ownersOf, toldAtOnce } from './known.ts'
import type { StreamWord } from './mute.ts'
import type { Outside } from './outside.ts'
import type { Process } from './process.ts'
import type { ModelQueue } from './queue.ts'
import { inJob } from './schedule.ts'

/** The parts of a worker that a scenario may want to leave out. */
export type WorkerRole = 'orders' | 'streams' | 'connections'

/**
 * Starts the production roles of one worker on the ports of `process`. Everything that it remembers
 * ends with the process.
 */
export function startWorker(
  process: Process,
  outside: Outside,
  roles: readonly WorkerRole[],
): void {
  if (!outside.isWhole) return startRoles(process, outside, roles, toldAtOnce(process, outside))
  void process.enter('start', 'start', () => {
    void knownByReading(process, outside).then((known) =>
      startRoles(process, outside, roles, known),
    )
  })
}

function startRoles(
  process: Process,
  outside: Outside,
  roles: readonly WorkerRole[],
  known: Known,
): void {
  const { queue, log, overExit } = outside
  const { random, boundaries } = process
  const { clock, controls } = known
  const store = process.door('store', outside.store, true)
  const leases = process.door('leases', outside.leases, true)
  const recoveries = process.door('recoveries', outside.recoveries, true)
  const quarantine = process.door('aside', outside.quarantine, true)
  const connections = process.door('connections', outside.connections, true)
  const links = process.door('links', outside.links, true)
  const vault = process.door('vault', outside.vault, false)
  const brokers = new BrokerPool(
    connections,
    known.recalled,
    vault,
    'sandbox',
    (connection, credentials) =>
      brokerDoor(
        process,
        outside,
        connection,
        outside.reach(process, connection, credentials),
        clock,
      ),
  )
  const onCommitted = (userId: string, changes: readonly Change[]): void =>
    outside.onCommitted(userId, changes)
  const writer = { store, cache: new StateCache(), clock, onCommitted }
  const hours = new MarketHours(clock)
  const deps = { writer, brokers, clock, random, log, boundaries }
  const order = {
    recoveries,
    parked: process.door('parked', outside.store.parked, true),
    parkedMarketMs: 30_000,
    loadRiskFacts: riskFactsLoader(hours, process, outside, known),
    jobQueue: asker(queue),
    knownStore: () => known.knownStore(),
    mayHaveLostWrites: () => outside.schedule.nowMs - outside.store.lostMs < DOUBT_MS,
    mayHaveJustLost: () => outside.schedule.nowMs - outside.store.lostMs < LOST_REQUEST_MS,
    hasLostAll: () => outside.schedule.nowMs - known.lostAllMs() < DOUBT_MS,
  }
  const handle = unlessBlocked(orderHandler({ ...deps, ...order }), () => known.blockedReason())
  queue.work(process, {
    ...(roles.includes('orders') ? { orders: handle, commands: handle } : {}),
    ...(roles.includes('connections')
      ? {
          connections: connectionHandler(
            { store, connections, links, brokers, clock, log, onFinding: () => {} },
            {
              store,
              connections,
              controls,
              leases,
              clock,
              log,
              jobQueue: asker(queue),
              knownStore: () => known.knownStore(),
            },
          ),
        }
      : {}),
  })
  if (outside.isWhole && roles.includes('connections')) known.follow(checksOf(outside))
  if (!roles.includes('streams')) return
  const owner = {
    recoveries,
    quarantine,
    overExit,
    hours,
    askForCheck: (ref: ConnectionRef) => known.askForCheck(ref),
    followUps: createFollowUps(asker(queue)),
    accountMetrics: noMetrics,
    mayTake: () => true,
  }
  const own = (ref: ConnectionRef) =>
    outside.idleTries.own(
      process,
      ref,
      { leases, brokers },
      (doors) => new ConnectionLease({ ...deps, ...owner, ...doors }, ref),
    )
  const owners = ownersOf(own, log)
  void process.enter('start', 'start', () => known.follow(owners))
  const onReturn = (): void =>
    void process.enter('start', 'store returned', () => owners.redisReconnected())
  outside.onReturn.add(onReturn)
  process.onDeath(() => void outside.onReturn.delete(onReturn))
}

function asker(queue: ModelQueue): JobQueue {
  /** Gone once it is done; one that failed stays. */
  const add = async (
    name: CommandName,
    command: Parameters<JobQueue['cancel' | 'close']>[0],
  ): Promise<void> => {
    const jobId = commandJobId(name, command.userId, command.tradeId, command.commandId)
    if (queue.stateOf(jobId) === 'completed') queue.forget(jobId)
    queue.add('commands', name, command, jobId)
  }
  return {
    async resolve(trade) {
      queue.addPassing('orders', 'resolveOrder', trade, resolveJobId(trade.userId, trade.tradeId))
    },
    cancel: (command) => add('cancelOrder', command),
    close: (command) => add('closePosition', command),
  }
}

/** Limits as the worker knows them, orders as they stand, and no quotes. */
function riskFactsLoader(
  hours: MarketHours,
  process: Process,
  { store }: Outside,
  known: Known,
): LoadRiskFacts {
  const limitsOf = async ({ userId, connectionId }: ConnectionRef) => {
    const { limits } = known.setOf(userId) ?? (await known.controls.read(userId))
    return { user: limits.user, connection: limits.byConnection.get(connectionId) ?? null }
  }
  const reader = process.door(
    'reader',
    { snapshot: async (userId: string) => store.snapshot(userId) },
    true,
  )
  return createRiskFactsLoader(
    limitsOf,
    (userId) => reader.snapshot(userId),
    { last: async () => [] },
    hours,
    known.clock,
  )
}

/**
 * The account as one process reaches it: every message of its stream is a step, in order, and the
 * stream ends with the process.
 */
function brokerDoor(
  process: Process,
  outside: Outside,
  ref: BrokerConnection,
  account: Broker,
  clock: Clock,
): Broker {
  const { userId, connectionId } = ref
  const lane = `stream ${userId} ${connectionId}`
  const openTradeStream: Broker['openTradeStream'] = (listener) => {
    let isOpen = true
    const hear = (word: StreamWord, run: () => void): void => {
      if (!isOpen) return
      outside.onStream(process, ref, word)
      run()
    }
    // Whatever a job makes the broker tell is no part of the job.
    const later = (word: StreamWord, label: string, run: () => void): void =>
      inJob.exit(() => void process.enter(lane, `stream ${label}`, () => hear(word, run)))
    const onStep: TradeStreamListener = {
      onLive: () => later('live', 'live', () => listener.onLive()),
      onUpdate: (update) => later('word', update.order.status, () => listener.onUpdate(update)),
      onUnreadable: (why) => later('word', 'unreadable', () => listener.onUnreadable(why)),
      onDown: (down) => later('down', 'down', () => listener.onDown(down)),
    }
    outside.onStream(process, ref, 'opened')
    const stream = account.openTradeStream(onStep)
    process.onDeath(() => void stream.close())
    return {
      async close() {
        isOpen = false
        await stream.close()
      },
    }
  }
  const door: Broker = process.door<Broker>('broker', account, false, `${userId} ${connectionId}`)
  const broker = Object.assign(Object.create(door) as Broker, {
    openTradeStream,
    openActivityStream: () => null,
  })
  const budget = budgetOf(process.door('budget', outside.store.budget, true), ref)
  return new GuardedBroker(outside.planted?.(broker) ?? broker, budget, clock)
}
