import type { CommandName } from '#contract'
import { type CommandResult, type EndedCommand, type Order, withEnded } from '#domain'
import { isoTime } from '#runtime'
import { applyUpdate, CONFLICT, readOrder, retryOnConflict } from '../state/index.ts'
import { factsOf, loadTrade, type OrderDeps } from './deps.ts'

/** A command of one trade, as its job names it. */
export type TradeCommand = Readonly<{
  userId: string
  connectionId: string
  tradeId: string
  commandId: string
}>

const KINDS: Readonly<Record<CommandName, CommandResult['kind']>> = {
  cancelOrder: 'cancel',
  replaceOrder: 'replace',
  closePosition: 'close',
}
export const isCommandName = (name: string): name is CommandName => Object.hasOwn(KINDS, name)

/**
 * Notes in the record of a trade that a command on it was refused, so that the caller can read why.
 * If the trade is in the archive, its archived record is changed. A command that has a result
 * already keeps it. If the trade has no record, the refusal is not noted.
 */
export async function noteRefusal(
  deps: OrderDeps,
  name: CommandName,
  command: TradeCommand,
  message: string,
): Promise<void> {
  const at = isoTime(deps.clock.now())
  const ended = {
    commandId: command.commandId,
    kind: KINDS[name],
    outcome: 'refused',
    message,
    at,
  } as const
  await retryOnConflict(command.userId, async () => {
    const { version, slice } = await loadTrade(deps, { ...command, symbol: '' })
    if (slice.order !== null) {
      const { isArchived } = await applyUpdate(deps.writer, factsOf(slice.order), {
        type: 'command_ended',
        command: ended,
      })
      return isArchived ? CONFLICT : null
    }
    const past = await findPast(deps, command, version)
    if (past === 'none' || past === 'tombstone') return null
    if (past === 'moved') return CONFLICT
    return (await noteInArchive(deps, past, version, ended)) ? null : CONFLICT
  })
}

/**
 * Looks for a trade that is not in the hot state any more.
 * @param version at which the hot state was read, and did not have the trade
 * @returns `moved`: the state has changed since, and may have the trade now
 */
export async function findPast(
  { writer }: OrderDeps,
  {
    userId,
    connectionId,
    tradeId: orderId,
  }: Pick<TradeCommand, 'userId' | 'connectionId' | 'tradeId'>,
  version: string,
): Promise<Order | 'tombstone' | 'none' | 'moved'> {
  const {
    version: now,
    slice,
    tombstone,
  } = await readOrder(writer, { userId, orderId, connectionId, symbol: '' })
  if (now !== version) return 'moved'
  return slice.order ?? (tombstone === null ? 'none' : 'tombstone')
}

/** @returns `false` when the state moved meanwhile */
async function noteInArchive(
  deps: OrderDeps,
  order: Order,
  version: string,
  ended: EndedCommand,
): Promise<boolean> {
  const noted = withEnded(order, ended)
  if (noted === null) return true
  const done = await deps.writer.store.commit(order.userId, {
    expectVersion: version,
    fence: { kind: 'version' },
    events: [],
    writes: [{ kind: 'archive', order: { ...order, ...noted } }],
  })
  return done.kind === 'committed'
}
