import type { CommandName } from '#contract'
import { type CommandResult, type EndedCommand, type Order, withEnded } from '#domain'
import { isoTime } from '#runtime'
import { apply, CLASHES_MAX, ContentionError, load } from '../updates/index.ts'
import { factsOf, loadTrade, type OrderDeps } from './deps.ts'

/** A command of one trade, as its job names it. */
export type TradeCommand = Readonly<{ userId: string; connectionId: string; tradeId: string; commandId: string }>

const KINDS: Readonly<Record<CommandName, CommandResult['kind']>> = {
  cancelOrder: 'cancel',
  replaceOrder: 'replace',
  closePosition: 'close',
}
export const isCommandName = (name: string): name is CommandName => Object.hasOwn(KINDS, name)

/**
 * Notes in the record of a trade that a command of it was refused, so that its caller reads why; in the archive, where the trade has gone
 * there. A command that has a result already keeps it; of a trade that never was, there is no record.
 */
export async function noteRefusal(
  deps: OrderDeps,
  name: CommandName,
  command: TradeCommand,
  message: string,
): Promise<void> {
  const at = isoTime(deps.clock.now())
  const ended = { commandId: command.commandId, kind: KINDS[name], outcome: 'refused', message, at } as const
  for (let clashes = 0; clashes < CLASHES_MAX; clashes += 1) {
    const hot = (await loadTrade(deps, { ...command, symbol: '' })).slice.order
    if (hot !== null) {
      await apply(deps.applier, factsOf(hot), { type: 'command_ended', command: ended })
      return
    }
    if (await noteInArchive(deps, command, ended)) return
  }
  throw new ContentionError(command.userId)
}

/** The order of a trade that has left the hot state; `null`: there is none, or not there. */
export async function findArchived(
  { applier }: OrderDeps,
  { userId, connectionId, tradeId: orderId }: Pick<TradeCommand, 'userId' | 'connectionId' | 'tradeId'>,
): Promise<Readonly<{ version: string; order: Order | null; isOver: boolean }>> {
  const { version, slice, tombstone } = await load(applier, { userId, orderId, connectionId, symbol: '' })
  return { version, order: slice.order, isOver: slice.order !== null || tombstone !== null }
}

/** @returns `false` when the state moved meanwhile */
async function noteInArchive(deps: OrderDeps, command: TradeCommand, ended: EndedCommand): Promise<boolean> {
  const { version, order } = await findArchived(deps, command)
  if (order === null) return true
  const noted = withEnded(order, ended)
  if (noted === null) return true
  const done = await deps.applier.store.commit(command.userId, {
    ...{ expectVersion: version, fence: { kind: 'version' }, events: [] },
    writes: [{ kind: 'archive', order: { ...order, ...noted } }],
  })
  return done.kind === 'committed'
}
