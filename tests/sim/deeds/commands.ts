import {
  cancelAllJobId,
  cancelAllSchema,
  closeAllJobId,
  closeAllSchema,
  closePositionSchema,
  commandJobId,
  replaceOrderSchema,
} from '#contract'
import type { ConnectionRef } from '#store'
import {
  type Deed,
  newCommandId,
  newTrade,
  pickHeld,
  pickRef,
  pickTrade,
  type Sim,
} from './deed.ts'

/**
 * Another size, or another price of a limit order: never a lower one than what everything is worth.
 */
export function replace(sim: Sim, trade = pickTrade(sim)): boolean {
  const { world, chance } = sim
  if (trade === undefined) return false
  const commandId = newCommandId(sim, 'r')
  const terms =
    chance.below(2) === 0
      ? { quantity: String(1 + chance.below(150)) }
      : { limitPrice: `${180 + chance.below(3)}` }
  const { tradeId, ref } = trade
  const command = replaceOrderSchema.parse({ ...ref, tradeId, commandId, ...terms })
  world.queue.add(
    'commands',
    'replaceOrder',
    command,
    commandJobId('replaceOrder', ref.userId, tradeId, commandId),
  )
  return true
}

function replaceExit(sim: Sim): boolean {
  const { world, chance } = sim
  const trade = chance.pick(sim.trades)
  if (trade === undefined) return false
  const commandId = newCommandId(sim, 'r')
  const exit =
    chance.below(2) === 0
      ? { leg: 'takeProfit', limitPrice: `${191 + chance.below(9)}` }
      : { leg: 'stopLoss', stopPrice: `${160 + chance.below(9)}` }
  const { tradeId, ref } = trade
  const command = replaceOrderSchema.parse({ ...ref, tradeId, commandId, ...exit })
  world.queue.add(
    'commands',
    'replaceOrder',
    command,
    commandJobId('replaceOrder', ref.userId, tradeId, commandId),
  )
  return true
}

type Holding = Readonly<{ ref: ConnectionRef; symbol: string }>

/** What is held somewhere as a rule, or what may not be. */
const pickHolding = (sim: Sim): Holding =>
  (sim.chance.below(5) > 0 ? pickHeld(sim) : undefined) ?? {
    ref: pickRef(sim),
    symbol: sim.chance.pick(sim.setting.symbols)!,
  }

/** All of a position or a part of it, perhaps more than once at the same time. */
export function close(sim: Sim, { ref, symbol } = pickHolding(sim)): boolean {
  const { world, chance, setting } = sim
  if (!setting.symbols.includes(symbol)) return false
  for (let count = 1 + chance.below(2); count > 0; count -= 1) {
    const { tradeId } = newTrade(sim, ref, symbol)
    const part = [{}, {}, { percentage: '50' }, { quantity: '10' }, { limitPrice: '180' }][
      chance.below(5)
    ]
    const command = closePositionSchema.parse({
      ...ref,
      tradeId,
      commandId: 'close',
      symbol,
      ...part,
    })
    world.queue.add(
      'commands',
      'closePosition',
      command,
      commandJobId('closePosition', ref.userId, tradeId, 'close'),
    )
  }
  return true
}

/** @returns the id of its job */
export function closeAll(sim: Sim, { userId, connectionId } = pickRef(sim)): string {
  const command = closeAllSchema.parse({ userId, connectionId, commandId: newCommandId(sim, 'ca') })
  const jobId = closeAllJobId(userId, connectionId, command.commandId)
  return sim.world.queue.add('commands', 'closeAllPositions', command, jobId)
}

function cancelAll(sim: Sim): boolean {
  const { chance, setting } = sim
  const { userId, connectionId } = pickRef(sim)
  const symbol = chance.below(2) === 0 ? null : chance.pick(setting.symbols)!
  const command = cancelAllSchema.parse({
    userId,
    connectionId,
    commandId: newCommandId(sim, 'xa'),
    symbol,
  })
  sim.world.queue.add(
    'commands',
    'cancelAll',
    command,
    cancelAllJobId(userId, connectionId, command.commandId),
  )
  return true
}

export function cancel(sim: Sim, trade = pickTrade(sim)): boolean {
  if (trade === undefined) return false
  sim.world.cancel(trade.tradeId, newCommandId(sim, 'c'), trade.ref)
  return true
}

export const commands: readonly Deed[] = [
  { name: 'cancel', weight: 3, isAlways: true, run: (sim) => cancel(sim) },
  { name: 'cancel all', weight: 1, run: cancelAll },
  { name: 'replace', weight: 5, isAlways: true, run: (sim) => replace(sim) },
  { name: 'replace an exit', weight: 1, run: replaceExit },
  { name: 'close', weight: 4, isAlways: true, run: (sim) => close(sim) },
  { name: 'close all', weight: 1, run: (sim) => closeAll(sim) !== '' },
]
