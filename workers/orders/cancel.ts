import type { CancelCommand } from '#contract'
import {
  type CancelRequest,
  isFinalStatus,
  isQuarantined,
  isZero,
  livePlacements,
  type Order,
  type OrderUpdate,
  type Placement,
} from '#domain'
import { isoTime } from '#runtime'
import { type CancelMark, type LoadedSlice, markWrites } from '#store'
import type { Broker } from '../broker/index.ts'
import { again, DONE, isLeftover, type JobResult, type Run } from '../queue/index.ts'
import { applyUpdate, applyUpdates, CONFLICT, retryOnConflict } from '../state/index.ts'
import { factsOf, loadTrade, type OrderDeps } from './deps.ts'
import { readChain } from './read-chain.ts'
import { waitForRecovery } from './recovering.ts'
import { CommandRefusedError } from './refusal.ts'
import { findPast, noteRefusal } from './refusals.ts'
import { settleReplace } from './settle-replace.ts'

const SET_ASIDE =
  'The order was set aside before it was seen at the broker: nothing is sent for it. Look for it in the broker account'
/** Pause before a cancel looks again at a trade that is on its way to the broker. */
const IN_FLIGHT_MS = 250
/** A request this young is sent without reading the order first. */
const FIRST_MS = 1_000
/** Pauses between requests, by the age of the first one: [younger than, pause]. */
const PACES = [
  [10_000, 2_000],
  [60_000, 5_000],
  [300_000, 15_000],
] as const
const PACE_MS_MAX = 60_000
/** If an order is not canceled by then, every further request logs an error. */
const UNCONFIRMED_MS = 300_000

/**
 * Asks the broker to cancel the rest of a trade. The cancel is written into the record first, and
 * requested again, ever more slowly, until the broker shows how the order ended; no answer to the
 * request itself ends an order (CAN-01, FIL-08). A cancel that is faster than its trade leaves a
 * mark, and the submission that finds the mark ends the trade unsent (CAN-03).
 */
export async function cancelOrder(
  deps: OrderDeps,
  command: CancelCommand,
  run: Run,
): Promise<JobResult> {
  await deps.boundaries.reached('cancel.dequeued')
  if (isLeftover(command)) {
    const waits = await waitForRecovery(deps, command, run)
    if (waits !== null) return waits
    if (await isHeld(deps, command)) return DONE
  }
  const order = await note(deps, command)
  await deps.boundaries.reached('cancel.noted')
  return order === null ? DONE : pursueCancel(deps, order, run)
}

/**
 * True if the position that the order protects is open: such an order is canceled only because its
 * position is closed.
 */
async function isHeld(deps: OrderDeps, command: CancelCommand): Promise<boolean> {
  const { order } = (await loadTrade(deps, { ...command, symbol: '' })).slice
  if (order === null || order.cancel !== null) return false
  const { position } = (await loadTrade(deps, { ...command, symbol: order.symbol })).slice
  return position !== null && !isZero(position.quantity)
}

/**
 * Continues a recorded cancel from the state in its record.
 * @throws {CommandRefusedError} the order was quarantined before the broker showed it
 */
export async function pursueCancel(deps: OrderDeps, noted: Order, run: Run): Promise<JobResult> {
  if (noted.cancel === null) return DONE
  if (noted.status === 'submitting' && isQuarantined(noted))
    throw new CommandRefusedError(SET_ASIDE)
  if (noted.status === 'submitting') {
    // The broker has no request of the order: the job that resolves the order finds the cancel, and
    // ends the order unsent.
    if (noted.attemptedAt === null)
      await deps.jobQueue.resolve({
        userId: noted.userId,
        connectionId: noted.connectionId,
        tradeId: noted.id,
      })
    return again(IN_FLIGHT_MS, 'the order is on its way to the broker')
  }
  if (livePlacements(noted).length === 0) return DONE
  const broker = await deps.brokers.get(noted)
  // A replacement that was sent may have made an order that is not in the record yet.
  const order = await settleReplace(deps, noted, broker)
  const ageMs = deps.clock.now() - Date.parse(noted.cancel.requestedAt)
  if (ageMs > UNCONFIRMED_MS) deps.log.error({ tradeId: order.id, ageMs }, 'cancel.unconfirmed')
  let isRead = false
  for (const placement of targetsOf(order)) {
    const asked = await cancelPlacement(deps, order, placement, broker, ageMs, run)
    if (asked.kind === 'wait') return again(asked.delayMs, 'the cancel was not taken')
    isRead ||= asked.kind === 'read'
  }
  const now = isRead
    ? ((await loadTrade(deps, { ...order, tradeId: order.id })).slice.order ?? order)
    : order
  if (targetsOf(now).length === 0) return DONE
  return again(paceOf(ageMs), 'the broker has not shown the end of the order yet')
}

const paceOf = (ageMs: number): number =>
  PACES.find(([youngerThan]) => ageMs < youngerThan)?.[1] ?? PACE_MS_MAX

/**
 * The broker orders to cancel: the entry while it lives, since the broker ends the exits with it;
 * else the exits. The newest order comes first: a cancel of an older order that is being replaced
 * is refused anyway. An order that the broker has ended is left out, even while its executions are
 * missing.
 */
function targetsOf(order: Order): Placement[] {
  const live = livePlacements(order).filter(
    (one) => one.final === null || one.final.status === 'replaced',
  )
  const entries = live.filter(({ leg }) => leg === 'entry')
  return (entries.length > 0 ? entries : live).toSorted((a, b) => b.replacement - a.replacement)
}

/** `read`: the order was read into its record, with or without a cancel request. */
type Asked = Readonly<{ kind: 'asked' } | { kind: 'read' } | { kind: 'wait'; delayMs: number }>

async function cancelPlacement(
  deps: OrderDeps,
  order: Order,
  { brokerOrderId, clientOrderId, status }: Placement,
  broker: Broker,
  ageMs: number,
  run: Run,
): Promise<Asked> {
  if (brokerOrderId === null) return { kind: 'wait', delayMs: IN_FLIGHT_MS }
  const isRead = ageMs >= FIRST_MS || status === 'replaced'
  const target = isRead ? await openHead(deps, order, brokerOrderId, broker) : brokerOrderId
  if (target === null) return { kind: 'read' }
  await deps.boundaries.reached('cancel.sending')
  run.assertHeld()
  const outcome = await broker.cancel(target)
  await deps.boundaries.reached('cancel.answered')
  deps.log.info({ clientOrderId, outcome: outcome.kind }, 'cancel.answered')
  if (outcome.kind === 'rate_limited' || outcome.kind === 'not_sent')
    return { kind: 'wait', delayMs: outcome.retryAfterMs ?? PACES[0][1] }
  if (outcome.kind !== 'refused') return { kind: isRead ? 'read' : 'asked' }
  // The refusal says only that the order is not cancelable now: the status of the order says why
  // (CAN-02).
  await openHead(deps, order, target, broker)
  await deps.boundaries.reached('cancel.recorded')
  return { kind: 'read' }
}

/**
 * The broker order at which a cancel is aimed: the newest of the chain; `null`: the broker does not
 * know it, or it has ended, or is being canceled already.
 */
async function openHead(
  deps: OrderDeps,
  order: Order,
  target: string,
  broker: Broker,
): Promise<string | null> {
  const head = await readChain(deps, order, target, broker)
  if (head === null || head.status === 'pending_cancel' || isFinalStatus(head.status)) return null
  return head.brokerOrderId
}

/**
 * Writes the cancel into the order, and ends the replacements that were not sent yet; if there is
 * no order yet, writes a cancel mark.
 */
async function note(deps: OrderDeps, command: CancelCommand): Promise<Order | null> {
  const { writer, clock } = deps
  const { userId, connectionId, tradeId, commandId, by, reason } = command
  const at = isoTime(clock.now())
  const request: CancelRequest = { commandId, by, reason, requestedAt: at }
  return retryOnConflict(userId, async () => {
    const trade = { userId, connectionId, tradeId, symbol: '' }
    const loaded = await loadTrade(deps, trade)
    const { order } = loaded.slice
    if (order !== null) {
      const applied = await applyUpdates(writer, factsOf(order), (now) =>
        requestUpdates(now, request, at),
      )
      return applied.isArchived ? CONFLICT : applied.slice.order
    }
    if (loaded.cancelMark !== null) return null
    const past = await findPast(deps, command, loaded.version)
    if (past === 'moved') return CONFLICT
    if (past !== 'none') {
      await noteRefusal(
        deps,
        'cancelOrder',
        command,
        'The order has ended, on an earlier trading day',
      )
      return null
    }
    const mark: CancelMark = { schema: 1, ...request }
    const waiting = await writer.store.loadWaitingMarks(userId)
    if (waiting.version !== loaded.version) return CONFLICT
    const done = await writer.store.commit(userId, {
      expectVersion: loaded.version,
      fence: { kind: 'version' },
      events: [],
      writes: markWrites(tradeId, mark, waiting.marks, clock.now()),
    })
    return done.kind === 'committed' ? null : CONFLICT
  })
}

/**
 * A cancel overtakes the replacements that were not sent yet (CAN-08); a replacement that was sent
 * has to show its outcome.
 */
function requestUpdates(
  { slice: { order } }: LoadedSlice,
  request: CancelRequest,
  at: string,
): OrderUpdate[] {
  const waiting = order?.replaces.filter(({ sentAt }) => sentAt === null) ?? []
  return [
    { type: 'cancel_requested', request },
    ...waiting.map(
      ({ commandId }) =>
        ({
          type: 'replace_ended',
          commandId,
          outcome: 'overtaken',
          message: 'The order is being canceled',
          at,
        }) as const,
    ),
  ]
}

/** Cancels an order, or the rest of it, in the system's name. */
export async function cancelBySystem(
  deps: OrderDeps,
  order: Order,
  why: string,
  run: Run,
): Promise<JobResult> {
  const requestedAt = isoTime(deps.clock.now())
  const request: CancelRequest = { commandId: 'system', by: 'system', reason: why, requestedAt }
  const { slice } = await applyUpdate(deps.writer, factsOf(order), {
    type: 'cancel_requested',
    request,
  })
  return slice.order === null ? DONE : pursueCancel(deps, slice.order, run)
}
