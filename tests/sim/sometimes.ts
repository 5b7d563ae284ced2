import { REJECTION_CODES, serverEvents } from '#contract'
import { ANOMALIES, statusChanges } from '#domain'
import { boundaryNames } from '#runtime'
import type { Store } from '#store'
import type { Broker } from '../../workers/broker/index.ts'
import { RELAY_HAPPENINGS } from '../scenarios/world/relays.ts'
import { STORE_FAULTS } from '../scenarios/world/store-faults.ts'
import { deeds } from './deeds/index.ts'
import { CALL_FAULTS, ORDER_CALLS, READ_CALLS } from './deeds/faults.ts'

const keysOf = <Name extends string>(record: Readonly<Record<Name, true>>): Name[] => Object.keys(record) as Name[]

/** Calls of the broker's port that an order worker makes; a method that joins the port joins here, or does not compile. */
const BROKER_CALLS = keysOf<Exclude<keyof Broker, 'openTradeStream' | 'openActivityStream'>>({
  ...{ submit: true, replace: true, cancel: true, findByClientOrderId: true, findByBrokerOrderId: true },
  ...{ findParent: true, listOrders: true, listOrderPage: true, listExecutions: true, listActivities: true },
  ...{ readPortfolio: true, readPosition: true, readQuote: true, listAssets: true, readAccount: true },
  ...{ readClock: true, readSessions: true },
})

const STORE_CALLS = keysOf<keyof Store>({
  ...{ loadSlice: true, findRefs: true, version: true, loadConnection: true, loadOpen: true, loadWaitingMarks: true },
  ...{ loadHealth: true, commit: true },
})

const loggedEvents = Object.entries(serverEvents).flatMap(([name, { delivery }]) =>
  delivery === 'logged' ? [name] : [],
)

/** Everything that has to happen now and then, by the names under which it is counted. */
export const names: ReadonlySet<string> = new Set([
  ...deeds.map(({ name }) => `deed ${name}`),
  ...boundaryNames.map((name) => `boundary ${name}`),
  ...BROKER_CALLS.map((name) => `call broker.${name}`),
  ...STORE_CALLS.map((name) => `call store.${name}`),
  ...ORDER_CALLS.flatMap((call) => CALL_FAULTS.map((kind) => `fault broker.${call} ${kind}`)),
  ...READ_CALLS.flatMap((call) => CALL_FAULTS.map((kind) => `fault broker.${call} ${kind}`)),
  ...STORE_FAULTS.map((kind) => `fault store.commit ${kind}`),
  ...loggedEvents.map((name) => `event ${name}`),
  ...RELAY_HAPPENINGS.map((what) => `client ${what}`),
  ...[...loggedEvents, 'state.sync', 'connection.authorized'].map((event) => `client ${event}`),
  ...REJECTION_CODES.map((code) => `code ${code}`),
  ...ANOMALIES.map((what) => `anomaly ${what}`),
  ...statusChanges.map(({ from, to }) => `transition ${from} -> ${to}`),
])

/** What never happens in a run, or too seldom, and why. */
export const unreached: Readonly<Record<string, string>> = {}
