import {
  clientOrderIdOf,
  cmp,
  CORRECTION_COMMAND,
  hasGap,
  headOf,
  isCorrection,
  isPositive,
  isTerminal,
  isZero,
  type Order,
  type Placement,
  replacedBy,
  type ReplaceRequest,
  REPLACES_MAX,
  type ReplaceTerms,
  REQUEST_MS_MAX,
  rightSizeOf,
  unendedBefore,
} from '#domain'
import { isoTime } from '#runtime'
import type { Broker, ReplaceOutcome } from '../broker/index.ts'
import { again, DONE, type JobResult, type Run } from '../queue/index.ts'
import { applyUpdate } from '../state/index.ts'
import { viewOf } from './adopt.ts'
import { cancelBySystem } from './cancel.ts'
import { claimReplacement } from './claim-replacement.ts'
import { factsOf, loadTrade, type OrderDeps } from './deps.ts'
import { readChain, withOldRead } from './read-chain.ts'
import { waitForRecovery } from './recovering.ts'
import { CommandRefusedError } from './refusal.ts'
import { findPast } from './refusals.ts'
import { dependsOnHolding, note, OVER, type ReplaceCommand } from './replace-request.ts'
import {
  endedUpdate,
  follow,
  isSince,
  placementOf,
  READ_AFTER_MS,
  stepOf,
} from './settle-replace.ts'

const IN_FLIGHT_MS = 250
/** A replacement shows its outcome within moments: after this pause both orders are read. */
const FOLLOW_MS = 500
/** How long a replacement waits for a trade or an order that cannot be replaced yet. */
const PATIENCE_MS = 60_000
/** Statuses in which the broker replaces no order (alpaca.md 2.5). */
const NOT_YET: ReadonlySet<string> = new Set([
  'accepted',
  'pending_new',
  'pending_replace',
  'accepted_for_bidding',
])

/**
 * Changes an open order, or one exit of it. The request is written into the record first and
 * carried out from the record, one request at a time and in the order accepted (CAN-08).
 *
 *   requested --> sent --> the broker has the new order --> the new one takes the place: the
 *       |           |                                  |    order's terms change
 *       |           |                                  +--> it does not: the old one was filled
 *       |           |                                       first, or the venue refused
 *       |           +--> refused: the order stays as it is, the job fails and says why
 *       +--> overtaken by a cancel, or by the end of the order
 *
 * Until the broker shows which of the two orders lives, both may execute (CAN-04). Every
 * replacement has a client order id of its own, a function of trade, leg and number, so that
 * sending a replacement twice is harmless.
 * @throws {CommandRefusedError} saying why the order stays as it is
 */
export async function replaceOrder(
  deps: OrderDeps,
  command: ReplaceCommand,
  run: Run,
): Promise<JobResult> {
  await deps.boundaries.reached('replace.dequeued')
  const { version, slice } = await loadTrade(deps, { ...command, symbol: '' })
  const { order } = slice
  if (order === null) {
    const past = await findPast(deps, command, version)
    if (past === 'moved') return again(IN_FLIGHT_MS, 'the state has changed in the meantime')
    if (past !== 'none') throw new CommandRefusedError(OVER)
    if (deps.clock.now() - run.queuedAtMs < PATIENCE_MS)
      return again(FOLLOW_MS, 'there is no such trade yet')
    throw new CommandRefusedError(`There is no trade ${command.tradeId} to replace`)
  }
  const waits = dependsOnHolding(order, command) ? await waitForRecovery(deps, command, run) : null
  if (waits !== null) return waits
  const noted = await note(deps, order, command)
  await deps.boundaries.reached('replace.noted')
  return pursueReplace(deps, noted, command.commandId, run)
}

/** Continues a recorded replacement from the state in its record. @throws {CommandRefusedError} */
export async function pursueReplace(
  deps: OrderDeps,
  order: Order,
  commandId: string,
  run: Run,
): Promise<JobResult> {
  const request = order.replaces.find((one) => one.commandId === commandId)
  if (request === undefined) return conclude(deps, order, commandId, run)
  if (order.replaces[0] !== request)
    return again(FOLLOW_MS, 'another replacement of the order is under way')
  if (request.sentAt === null) {
    if (order.cancel !== null)
      return end(deps, order, request, 'overtaken', 'The order is being canceled', run)
    if (order.endedAt !== null)
      return end(
        deps,
        order,
        request,
        'overtaken',
        `The order has ended: it is ${order.status}`,
        run,
      )
    return sendReplace(deps, order, request, run)
  }
  const broker = await deps.brokers.get(order)
  const followed = await follow(deps, order, request, broker)
  if (followed.replaces[0]?.commandId !== commandId) return conclude(deps, followed, commandId, run)
  const isAbsent = placementOf(followed, request) === undefined
  if (!isAbsent || isSince(deps, request.sentAt, REQUEST_MS_MAX))
    return again(FOLLOW_MS, 'the broker has not shown which order stands')
  if (
    followed.cancel !== null ||
    followed.endedAt !== null ||
    msSince(deps, request.requestedAt) > PATIENCE_MS
  )
    return end(deps, followed, request, 'refused', 'The broker did not take the replacement', run)
  return sendReplace(deps, followed, request, run)
}

const msSince = ({ clock }: OrderDeps, at: string): number => clock.now() - Date.parse(at)

async function sendReplace(
  deps: OrderDeps,
  order: Order,
  request: ReplaceRequest,
  run: Run,
): Promise<JobResult> {
  const head = replacedBy(order, request)
  const waitsFor = head === null ? 'the order is on its way to the broker' : notYet(head)
  if (head === null || head.brokerOrderId === null || waitsFor !== null) {
    if (msSince(deps, request.requestedAt) < PATIENCE_MS)
      return again(IN_FLIGHT_MS, waitsFor ?? 'the order is on its way')
    return end(
      deps,
      order,
      request,
      'refused',
      `It cannot be replaced now: ${waitsFor ?? 'it is not at the broker'}`,
      run,
    )
  }
  if (order.orderClass !== 'simple' && !isZero(head.cumulativeQuantity))
    return end(
      deps,
      order,
      request,
      'refused',
      `Part of a ${order.orderClass} order has executed; it cannot be replaced any more`,
      run,
    )
  const opened = await deps.brokers.find(order)
  const leave = await claimReplacement(deps, order, request, opened)
  if (leave.kind === 'later' && msSince(deps, request.requestedAt) < PATIENCE_MS)
    return again(leave.delayMs, leave.why)
  if (leave.kind !== 'given')
    return refuse(
      deps,
      order,
      request,
      leave.kind === 'refused' ? leave.message : `It was not sent: ${leave.why}`,
      run,
    )
  await deps.boundaries.reached('replace.sending')
  run.assertHeld()
  const outcome = await opened.broker.replace({
    brokerOrderId: head.brokerOrderId,
    clientOrderId: clientOrderIdOf(order.userId, order.id, stepOf(request)),
    terms: { ...request.terms, quantity: leave.quantity },
    isBudgeted: true,
  })
  await deps.boundaries.reached('replace.answered')
  deps.log.info(
    { tradeId: order.id, commandId: request.commandId, outcome: outcome.kind },
    'replace.answered',
  )
  const result = await record(
    deps,
    order,
    request,
    { replaced: head.brokerOrderId, broker: opened.broker, outcome },
    run,
  )
  await deps.boundaries.reached('replace.recorded')
  return result
}

/**
 * If an earlier request of this replacement may have arrived, a refusal of ours does not end it:
 * the replacement has until `PATIENCE_MS` to show itself at the broker.
 */
async function refuse(
  deps: OrderDeps,
  order: Order,
  request: ReplaceRequest,
  message: string,
  run: Run,
): Promise<JobResult> {
  if (request.sentAt !== null && msSince(deps, request.requestedAt) < PATIENCE_MS)
    return again(FOLLOW_MS, message)
  return end(deps, order, request, 'refused', message, run)
}

const notYet = ({ working, status }: Placement): string | null =>
  status === 'submitted' && working !== null && NOT_YET.has(working.status)
    ? `the order is ${working.status}, and the broker replaces none in that status`
    : null

async function record(
  deps: OrderDeps,
  order: Order,
  request: ReplaceRequest,
  {
    replaced,
    broker,
    outcome,
  }: Readonly<{ replaced: string; broker: Broker; outcome: ReplaceOutcome }>,
  run: Run,
): Promise<JobResult> {
  switch (outcome.kind) {
    case 'accepted':
      await applyUpdate(deps.writer, factsOf(order), viewOf(outcome.order))
      return again(
        FOLLOW_MS,
        'the broker has taken the replacement, and not shown yet which order stands',
      )
    case 'refused': {
      // The refusal says only that the order is not replaceable now: the status of the order says
      // why.
      const seen = await readChain(deps, order, replaced, broker)
      if (
        seen !== null &&
        NOT_YET.has(seen.status) &&
        msSince(deps, request.requestedAt) < PATIENCE_MS
      )
        return again(FOLLOW_MS, outcome.message)
      return end(deps, order, request, 'refused', outcome.message, run)
    }
    case 'rate_limited':
    case 'not_sent':
      // This result proves nothing about an earlier request of the same replacement.
      if (request.sentAt === null)
        await applyUpdate(deps.writer, factsOf(order), {
          type: 'replace_not_sent',
          commandId: request.commandId,
        })
      return again(outcome.retryAfterMs ?? READ_AFTER_MS, 'the replacement was not sent')
    case 'duplicate':
    case 'unknown':
      return again(FOLLOW_MS, 'the outcome of the replacement is not known')
  }
}

async function end(
  deps: OrderDeps,
  order: Order,
  request: ReplaceRequest,
  outcome: 'refused' | 'overtaken',
  message: string,
  run: Run,
): Promise<JobResult> {
  const update = endedUpdate(deps, request, outcome, message)
  const { slice, isArchived } = await applyUpdate(deps.writer, factsOf(order), update)
  if (isArchived) throw new CommandRefusedError(message)
  // The replacement may have shown itself in the meantime: then the record says that it took place.
  return conclude(deps, slice.order ?? order, request.commandId, run)
}

/**
 * The request has its outcome. If the replacement took place, its size is checked (CAN-05): by the
 * job of the replacement, or, if that job is gone, by the job that resolves the order. If a
 * correction was refused, the order keeps its size, and that size is checked here as well.
 */
async function conclude(
  deps: OrderDeps,
  noted: Order,
  commandId: string,
  run: Run,
): Promise<JobResult> {
  const result = noted.replaceResults.find((one) => one.commandId === commandId)
  if (result === undefined) return DONE
  if (result.outcome !== 'replaced' && !isCorrection(result))
    throw new CommandRefusedError(result.message ?? 'The order was not replaced')
  if (result.leg !== 'entry') return DONE
  const order = await withOldRead(deps, noted)
  const head = headOf(order, 'entry')
  if (head === null || order.cancel !== null || isTerminal(head.status)) return DONE
  // Executions of the replaced orders are not booked yet: the new order would be sized as if those
  // executions were still to come.
  if (hasGap(order) || unendedBefore(order, head).length > 0)
    return again(READ_AFTER_MS, 'executions of the replaced order are not booked yet')
  return correctSize(deps, order, head, run)
}

/**
 * Corrects a wrong size once: repeated corrections would race fills for as long as there are fills.
 * If one correction was not enough, a remainder that is too small stays, and the order is for that
 * quantity from then on. A remainder that could execute more than was asked for is canceled.
 */
async function correctSize(
  deps: OrderDeps,
  order: Order,
  head: Placement,
  run: Run,
): Promise<JobResult> {
  const right = rightSizeOf(order, head)
  if (
    right === null ||
    head.quantity === null ||
    head.quantity === right ||
    order.replaces.length > 0
  )
    return DONE
  const sizes = { tradeId: order.id, right, shown: head.quantity }
  if (!isPositive(right)) {
    deps.log.warn(sizes, 'replace.wrong_size')
    return cancelBySystem(deps, order, 'Nothing is left to execute', run)
  }
  const fix = `${CORRECTION_COMMAND}${head.replacement}`
  if (isCorrected(order, fix)) {
    deps.log.error(sizes, 'replace.size_not_corrected')
    if (cmp(head.quantity, right) > 0)
      return cancelBySystem(deps, order, 'A replacement could not be given its right size', run)
    await applyUpdate(deps.writer, factsOf(order), {
      type: 'size_stands',
      at: isoTime(deps.clock.now()),
    })
    return DONE
  }
  deps.log.warn(sizes, 'replace.wrong_size')
  const terms: ReplaceTerms = { ...UNCHANGED, quantity: order.quantity }
  const asked = {
    commandId: fix,
    leg: 'entry',
    terms,
    requestedAt: isoTime(deps.clock.now()),
  } as const
  const { slice } = await applyUpdate(deps.writer, factsOf(order), {
    type: 'replace_requested',
    request: asked,
  })
  return slice.order === null ? DONE : pursueReplace(deps, slice.order, fix, run)
}

const UNCHANGED: ReplaceTerms = {
  quantity: null,
  limitPrice: null,
  stopPrice: null,
  trail: null,
  timeInForce: null,
}

/**
 * True if the size was corrected already after the last requested replacement, or cannot be
 * corrected because the order takes no more replacements.
 */
function isCorrected({ replaceResults }: Order, fix: string): boolean {
  if (
    replaceResults.length >= REPLACES_MAX ||
    replaceResults.some(({ commandId }) => commandId === fix)
  )
    return true
  const last = replaceResults
    .filter(({ leg }) => leg === 'entry')
    .toSorted((a, b) => b.replacement - a.replacement)[0]
  return last !== undefined && isCorrection(last)
}
