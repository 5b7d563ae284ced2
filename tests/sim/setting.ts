import { dec } from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeBroker } from '../support/fake-broker.ts'
import type { Chance } from '../scenarios/world/chance.ts'

/**
 * The start of a run, drawn from its seed: the number of workers, users and connections, the
 * symbols and the date. `isPatient`: at the end everything is waited for as long as it
 * may ever take; in most runs for less.
 */
export type Setting = Readonly<{
  startMs: number
  workers: number
  /**
   * Connections of users; those that are linked in the run join them, those that are removed stay
   * among them.
   */
  accounts: ConnectionRef[]
  symbols: readonly string[]
  deeds: number
  isPatient: boolean
}>

/**
 * Days of a Thursday and the Friday after it, New York time: what lies between is summer time, four
 * hours behind UTC.
 */
const at = (day: number, hour: number, minute: number): number =>
  Date.UTC(2024, 2, day, hour + 4, minute, 0)
/**
 * A session in full swing, most of all; its last and first minutes; and the changes of the day in
 * New York and by UTC.
 */
const STARTS: readonly number[] = [
  at(15, 10, 0),
  at(15, 10, 0),
  at(15, 10, 0),
  at(15, 11, 30),
  at(14, 14, 0),
  at(14, 15, 58),
  at(15, 9, 28),
  at(14, 23, 58),
  at(14, 19, 58),
]
const SYMBOLS = ['AAPL', 'MSFT', 'BTC/USD'] as const
/** At which every symbol is quoted in the beginning. */
const PRICE = dec('180')
/** One run in so many waits for as long as anything may ever take. */
const PATIENT_EVERY = 24

/** The quoted symbols of an account, and its rule for the size of replacements. */
export function furnish(broker: FakeBroker, symbols: readonly string[]): void {
  for (const symbol of symbols)
    if (!broker.quotes.has(symbol))
      broker.quotes.set(symbol, { bid: PRICE, ask: PRICE, last: PRICE })
  // Where a replacement is larger than was meant for a moment, that moment is told as it is
  // (CAN-05).
  broker.replaceSizing = 'total'
}

export function drawSetting(chance: Chance): Setting {
  const users = 1 + chance.below(4)
  const accounts: ConnectionRef[] = []
  for (let user = 1; user <= users; user += 1) {
    const connections = chance.below(4) === 0 ? 2 : 1
    for (let count = 0; count < connections; count += 1)
      accounts.push({ userId: `u${user}`, connectionId: `broker_${accounts.length + 1}` })
  }
  return {
    accounts,
    startMs: chance.pick(STARTS)!,
    workers: 1 + chance.below(4),
    symbols: SYMBOLS,
    deeds: 12 + chance.below(20),
    isPatient: chance.below(PATIENT_EVERY) === 0,
  }
}
