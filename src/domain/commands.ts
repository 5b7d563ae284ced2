import { livePlacements } from './order-status.ts'
import type { CancelRequest, CommandResult, EndedCommand, Order, ReplaceResult } from './order.ts'

/**
 * The number of ended commands without any other trace that one order remembers. The oldest is
 * dropped.
 */
export const ENDED_COMMANDS_MAX = 64

/** Every command of an order, with its result. */
export const commandsOf = (order: Order): CommandResult[] => [
  ...closeOf(order),
  ...order.replaceResults.map(({ commandId, outcome, message, at }): CommandResult => {
    return {
      commandId,
      kind: 'replace',
      outcome: outcome === 'replaced' ? 'done' : outcome,
      message,
      at,
    }
  }),
  ...order.replaces.map(({ commandId, sentAt, requestedAt: at }): CommandResult => {
    const isOvertaken = order.endedAt !== null && sentAt === null
    const [outcome, message] = isOvertaken
      ? (['overtaken', endOf(order)] as const)
      : (['pending', null] as const)
    return { commandId, kind: 'replace', outcome, message, at }
  }),
  ...(order.endedCommands ?? []),
  ...cancelOf(order),
]

/**
 * Notes the end of a command that has no other trace in the order; `null`: a repeated command
 * changes nothing.
 */
export function withEnded(
  order: Order,
  command: EndedCommand,
): Pick<Order, 'endedCommands'> | null {
  const isKnown = commandsOf(order).some(
    ({ kind, commandId }) => kind === command.kind && commandId === command.commandId,
  )
  return isKnown
    ? null
    : { endedCommands: [...(order.endedCommands ?? []), command].slice(-ENDED_COMMANDS_MAX) }
}

/**
 * Prefix of the command ids of cancels that the removal of a connection requests. The revision of
 * the connection's record follows.
 */
export const REMOVAL_COMMAND = 'leave-'

/**
 * A cancel that is requested once under its id. A cancel by the system is requested again as long
 * as its reason lasts.
 */
const isAskedOnce = ({ by, commandId }: CancelRequest): boolean =>
  by === 'user' || commandId.startsWith(REMOVAL_COMMAND)

/**
 * Reports if this very cancel has ended, independent of the order's later states. A repeat of an
 * ended cancel has no effect.
 */
export const isOver = ({ endedCommands = [] }: Order, request: CancelRequest): boolean =>
  isAskedOnce(request) &&
  endedCommands.some(({ kind, commandId }) => kind === 'cancel' && commandId === request.commandId)

/**
 * Merges an order that was read anew with its earlier record, after the order's connection was
 * removed and linked again. From the earlier record come the requested parameters and the results
 * of the commands. Commands in progress at the removal have ended: no worker has carried them out
 * since.
 */
export function withPast(read: Order, past: Order, at: string): Order {
  const { parametersHash, askedAt, closes, closeCommandId, notAfter, cancel } = past
  const replaces = past.replaces.map(
    ({ commandId, leg, replacement, terms, sentAt }): ReplaceResult => {
      const isThere = read.placements.some(
        (one) => one.leg === leg && one.replacement === replacement && one.agreed,
      )
      const outcome = isThere ? 'replaced' : sentAt === null ? 'overtaken' : 'refused'
      return { commandId, leg, replacement, outcome, message: isThere ? null : REMOVED, terms, at }
    },
  )
  const known: Order = {
    ...read,
    parametersHash,
    notAfter,
    replaceResults: [...past.replaceResults, ...replaces],
    ...(askedAt === undefined ? {} : { askedAt }),
    ...(closes === undefined ? {} : { closes }),
    ...(closeCommandId == null ? {} : { closeCommandId }),
    ...(past.endedCommands === undefined ? {} : { endedCommands: past.endedCommands }),
  }
  if (cancel === null) return known
  if (read.endedAt !== null && livePlacements(read).length === 0) return { ...known, cancel }
  if (!isAskedOnce(cancel)) return known
  const { commandId } = cancel
  return {
    ...known,
    ...withEnded(known, { commandId, kind: 'cancel', outcome: 'refused', message: REMOVED, at }),
  }
}

/**
 * The record from before the removal of its connection, for an order that was not read anew.
 * Commands that were in progress have ended.
 */
export const broughtBack = (past: Order, at: string): Order =>
  withPast({ ...past, replaces: [], cancel: null }, past, at)

const REMOVED = 'The broker connection was removed in the meantime'

/** The result of a cancel that was requested after the order had ended, or after another cancel. */
export function endedCancel(order: Order, commandId: string, at: string): EndedCommand {
  const { cancel, endedAt } = order
  if (endedAt !== null)
    return { commandId, kind: 'cancel', outcome: 'refused', message: endOf(order), at }
  const message = `The order is being canceled already, by the command ${cancel?.commandId ?? ''}`
  return { commandId, kind: 'cancel', outcome: 'overtaken', message, at }
}

const endOf = ({ status }: Order): string => `The order has ended: it is ${status}`

function cancelOf(order: Order): CommandResult[] {
  const { cancel, endedAt, placements, status } = order
  if (cancel === null) return []
  const { commandId, requestedAt } = cancel
  const kind = 'cancel'
  if (endedAt === null || livePlacements(order).length > 0)
    return [{ commandId, kind, outcome: 'pending', message: null, at: requestedAt }]
  const isCanceled = status === 'canceled' || placements.some((one) => one.status === 'canceled')
  return [
    isCanceled
      ? { commandId, kind, outcome: 'done', message: null, at: endedAt }
      : { commandId, kind, outcome: 'overtaken', message: endOf(order), at: endedAt },
  ]
}

function closeOf({
  closeCommandId,
  status,
  rejection,
  claimedAt,
  submittedAt,
  endedAt,
}: Order): CommandResult[] {
  if (closeCommandId == null) return []
  const of = { commandId: closeCommandId, kind: 'close' } as const
  if (rejection !== null)
    return [{ ...of, outcome: 'refused', message: rejection.message, at: rejection.at }]
  if (status === 'submitting')
    return [{ ...of, outcome: 'pending', message: null, at: claimedAt ?? '' }]
  if (submittedAt === null)
    return [{ ...of, outcome: 'overtaken', message: `The close is ${status}`, at: endedAt ?? '' }]
  return [{ ...of, outcome: 'done', message: null, at: submittedAt }]
}
