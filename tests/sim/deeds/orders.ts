import type { SubmitOrder } from '#contract'
import { isoTime } from '#runtime'
import type { ConnectionRef } from '#store'
import { type Deed, newTrade, pickRef, type Sim, type Trade } from './deed.ts'

/** At what everything is quoted. */
export const LIMIT = { orderType: 'limit', limitPrice: '180', timeInForce: 'gtc' } as const
const isCrypto = (symbol: string): boolean => symbol.includes('/')
/**
 * Mostly what everything is worth; now and then far away from it, but never below it: the limits of
 * positions are held against it.
 */
const priceIn = (sim: Sim): string => String(isOneIn(sim, 4) ? 180 + sim.chance.below(20) : 180)
const isOneIn = ({ chance }: Sim, count: number): boolean => chance.below(count) === 0

/** Asks for an order of these terms. */
export function place(
  sim: Sim,
  terms: Partial<SubmitOrder>,
  symbol = sim.chance.pick(sim.setting.symbols)!,
  on = pickRef(sim),
): Trade {
  const trade = newTrade(sim, on, symbol)
  const always = isCrypto(symbol) ? { timeInForce: 'gtc' as const } : {}
  sim.world.submit({ ...on, tradeId: trade.tradeId, symbol, ...always, ...terms })
  return trade
}

function submit(
  sim: Sim,
  terms: Partial<SubmitOrder>,
  symbol?: string,
  on?: ConnectionRef,
): boolean {
  place(sim, terms, symbol, on)
  return true
}

/** An order whose exits wait for what it executes: two of them, or one. */
export function placeWithExits(sim: Sim, on = pickRef(sim)): Trade {
  const both = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '170' } }
  const [orderClass, exits] = isOneIn(sim, 2)
    ? (['bracket', both] as const)
    : (['oto', { takeProfit: both.takeProfit }] as const)
  return place(sim, { orderClass, quantity: sizeIn(sim), ...LIMIT, ...exits }, stockIn(sim), on)
}

/** A symbol of which exits may be placed: they are for stocks. */
const stockIn = (sim: Sim): string =>
  sim.chance.pick(sim.setting.symbols.filter((symbol) => !isCrypto(symbol)))!
const sizeIn = ({ chance }: Sim): string => String(1 + chance.below(100))

/** A simple order, in one of three times to sell, sometimes with a deadline. */
export function submitSimple(sim: Sim, on?: ConnectionRef): boolean {
  const soon = { notAfter: isoTime(sim.world.nowMs + sim.chance.below(5_000)) }
  const terms: Partial<SubmitOrder> = {
    side: isOneIn(sim, 3) ? 'sell' : 'buy',
    quantity: sizeIn(sim),
    ...(isOneIn(sim, 2) ? { ...LIMIT, limitPrice: priceIn(sim) } : {}),
    ...(isOneIn(sim, 6) ? soon : {}),
  }
  return submit(sim, terms, undefined, on)
}

export const orders: readonly Deed[] = [
  { name: 'submit', weight: 10, isAlways: true, run: (sim) => submitSimple(sim) },
  {
    name: 'submit a bracket',
    weight: 2,
    run(sim) {
      const takeProfit = { limitPrice: '190' }
      const stopLoss = { stopPrice: '170', ...(isOneIn(sim, 2) ? { limitPrice: '169' } : {}) }
      return submit(
        sim,
        { orderClass: 'bracket', quantity: sizeIn(sim), ...LIMIT, takeProfit, stopLoss },
        stockIn(sim),
      )
    },
  },
  {
    name: 'submit an oco',
    weight: 1,
    run(sim) {
      const exits = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '170' } }
      const order = {
        orderClass: 'oco',
        orderType: 'limit',
        side: 'sell',
        timeInForce: 'gtc',
      } as const
      return submit(sim, { ...order, quantity: sizeIn(sim), ...exits }, stockIn(sim))
    },
  },
  {
    name: 'submit an oto',
    weight: 1,
    run(sim) {
      const exit = isOneIn(sim, 2)
        ? { takeProfit: { limitPrice: '190' } }
        : { stopLoss: { stopPrice: '170' } }
      return submit(
        sim,
        { orderClass: 'oto', quantity: sizeIn(sim), ...LIMIT, ...exit },
        stockIn(sim),
      )
    },
  },
  {
    name: 'submit in money',
    weight: 2,
    run: (sim) => submit(sim, { quantity: null, notional: String(100 + sim.chance.below(9_000)) }),
  },
  {
    name: 'submit a stop',
    weight: 1,
    run(sim) {
      const terms = isOneIn(sim, 2)
        ? ({ orderType: 'stop', stopPrice: '170' } as const)
        : ({ orderType: 'stop_limit', stopPrice: '170', limitPrice: '169' } as const)
      return submit(sim, { ...terms, side: 'sell', timeInForce: 'gtc', quantity: sizeIn(sim) })
    },
  },
  {
    name: 'submit a trailing stop',
    weight: 1,
    run(sim) {
      const trail = isOneIn(sim, 2) ? { trailPrice: '2' } : { trailPercent: '1.5' }
      const terms = {
        orderType: 'trailing_stop',
        side: 'sell',
        timeInForce: 'gtc',
        ...trail,
      } as const
      return submit(sim, { ...terms, quantity: sizeIn(sim) }, stockIn(sim))
    },
  },
  {
    name: 'submit a crowd',
    weight: 2,
    run(sim) {
      const ref = pickRef(sim)
      const symbol = sim.chance.pick(sim.setting.symbols)!
      for (let count = 0; count < 4; count += 1) {
        const { tradeId } = newTrade(sim, ref, symbol)
        sim.world.submit({ ...ref, tradeId, symbol, side: 'buy', quantity: '40', ...LIMIT })
      }
      return true
    },
  },
  {
    name: 'submit what nobody can have',
    weight: 1,
    run(sim) {
      const odd = sim.chance.pick<Partial<SubmitOrder>>([
        { symbol: 'AAPL', quantity: '0.5', side: 'sell' },
        { symbol: 'BTC/USD', quantity: '1', side: 'sell', timeInForce: 'gtc' },
        { symbol: 'NOPE', quantity: '1' },
      ])!
      return submit(sim, odd, odd.symbol)
    },
  },
  {
    name: 'submit the same trade again',
    weight: 1,
    run(sim) {
      const trade = sim.chance.pick(sim.trades)
      if (trade === undefined) return false
      const { tradeId, ref, symbol } = trade
      // Another order under a used id is refused, the same order under another job is one order.
      sim.world.submit(
        { ...ref, tradeId, symbol, quantity: sizeIn(sim), ...LIMIT },
        `again ${sim.chance.below(1e9)}`,
      )
      return true
    },
  },
]
