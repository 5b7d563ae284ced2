import type { Clock } from '#runtime'
import type { Broker } from '../broker/broker.ts'
import type { Faults } from '../faults/faults.ts'
import { activityJson } from '../http/activity-queries.ts'
import type { RateLimits } from '../http/rate-limits.ts'
import type { RequestJournal } from '../http/request-journal.ts'
import type { Streams } from '../streams/upgrades.ts'
import { VirtualClock } from '../time.ts'
import { openAccount } from './accounts.ts'
import type { SandboxControl } from './commands.ts'
import { finders, refuse, told } from './finders.ts'
import type { HeldAnswers } from './held-answers.ts'
import { readLedger } from './ledger.ts'
import { orderCommands } from './order-commands.ts'

export function createControl(
  broker: Broker,
  heldAnswers: HeldAnswers,
  journal: RequestJournal,
  streams: Streams,
  faults: Faults,
  rateLimits: RateLimits,
  clock: Clock,
): SandboxControl {
  const find = finders(broker)
  const { matcher, prices, session } = broker
  const setRevoked = (keyId: string, revoked: boolean): void => {
    find.account(keyId)
    broker.setRevoked(keyId, revoked)
  }
  return {
    addAccount: (setup) => void told(() => openAccount(broker, rateLimits, setup)),
    moveMoney: (keyId, { type, amount, symbol, description = '' }) =>
      told(() =>
        activityJson(
          broker.moveMoney(find.account(keyId), find.move(type, amount, symbol, description)),
        ),
      ),
    actOnStock: (action) => told(() => broker.actOn(find.corporateAction(action))),
    setRateLimit: (keyId, limit) => rateLimits.set(find.account(keyId), limit),
    revokeKey: (keyId) => setRevoked(keyId, true),
    restoreKey: (keyId) => setRevoked(keyId, false),
    setFlags: (keyId, flags) => void Object.assign(find.account(keyId).flags, flags),
    holdAnswers: ({ count = 1, keyId, drop } = {}) =>
      heldAnswers.arm(count, {
        account: keyId === undefined ? undefined : find.account(keyId),
        drop,
      }),
    releaseAnswers: (count) => heldAnswers.release(count),
    dropAnswers: (count) => heldAnswers.drop(count),
    heldAnswers: () => heldAnswers.waiting,
    ...orderCommands(find, broker.matcher),
    setPartialFills: (enabled, share = matcher.partialFills.share) =>
      void Object.assign(matcher.partialFills, { enabled, share }),
    setPrice: (symbol, price) => told(() => prices.set(find.asset(symbol), price)),
    releasePrice: (symbol) => prices.release(find.asset(symbol)),
    setMarketOpen: (open) => session.setPhase(open ? 'regular' : 'closed'),
    endDay: () => broker.endDay(),
    setMarketSession: (phase) =>
      phase === 'calendar' ? session.followCalendar() : session.setPhase(phase),
    cutStreams: ({ keyId, stream } = {}) => streams.cut(stream, keyId),
    sendTradeEvent: (orderId, event) =>
      told(() => streams.tellTradeEvent(...find.order(orderId), event)),
    sendDataError: (code, keyId) => streams.tellDataError(code, keyId),
    sendMarketMessage: (message) => told(() => streams.tellMarket(message)),
    streams: () => ({ trade: streams.count('trade'), data: streams.count('data') }),
    async advanceTime(byMs) {
      if (!(clock instanceof VirtualClock))
        throw refuse('time is advanced on the virtual clock only')
      if (clock.isAdvancing) throw refuse('time is being advanced already')
      await clock.advance(byMs)
      return clock.now()
    },
    armFault: (fault) =>
      told(() =>
        faults.arm(fault, fault.keyId === undefined ? undefined : find.account(fault.keyId)),
      ),
    faults: () => faults.armed(),
    disarmFaults: (id) => faults.disarm(id),
    setFaultShare: (share) => void (faults.randomness.share = share),
    ledger: (keyId) => readLedger(broker, journal, keyId),
  }
}
