import { REJECTION_CODES, serverEvents } from '#contract'
import { ANOMALIES, statusChanges } from '#domain'
import { boundaryNames } from '#runtime'
import type { Store } from '#store'
import type { Broker } from '../../workers/broker/port.ts'
import { RELAY_HAPPENINGS } from '../scenarios/world/relays.ts'
import { STORE_FAULTS } from '../scenarios/world/store-faults.ts'
import { deeds } from './deeds/index.ts'
import { CALL_FAULTS, ORDER_CALLS, READ_CALLS, READ_FAULTS } from './deeds/call-faults.ts'

const keysOf = <Name extends string>(record: Readonly<Record<Name, true>>): Name[] =>
  Object.keys(record) as Name[]

/**
 * Calls of the broker's port that an order worker makes; a method that joins the port joins here,
 * or does not compile.
 */
const BROKER_CALLS = keysOf<Exclude<keyof Broker, 'openTradeStream' | 'openActivityStream'>>({
  submit: true,
  replace: true,
  cancel: true,
  findByClientOrderId: true,
  findByBrokerOrderId: true,
  findParent: true,
  listOrders: true,
  listOrderPage: true,
  listExecutions: true,
  listActivities: true,
  readPortfolio: true,
  readPosition: true,
  readQuote: true,
  listAssets: true,
  readAccount: true,
  readClock: true,
  readSessions: true,
})

const STORE_CALLS = keysOf<keyof Store>({
  loadSlice: true,
  findRefs: true,
  version: true,
  loadConnection: true,
  loadOpen: true,
  loadWaitingMarks: true,
  loadHealth: true,
  commit: true,
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
  ...READ_CALLS.flatMap((call) => READ_FAULTS.map((kind) => `fault broker.${call} ${kind}`)),
  ...STORE_FAULTS.map((kind) => `fault store.commit ${kind}`),
  ...loggedEvents.map((name) => `event ${name}`),
  ...RELAY_HAPPENINGS.map((what) => `client ${what}`),
  ...[...loggedEvents, 'state.sync', 'connection.authorized'].map((event) => `client ${event}`),
  ...REJECTION_CODES.map((code) => `code ${code}`),
  ...ANOMALIES.map((what) => `anomaly ${what}`),
  ...statusChanges.map(({ from, to }) => `transition ${from} -> ${to}`),
])

/** What never happens in a run, or too seldom, and why. */
export const unreached: Readonly<Record<string, string>> = {
  'call broker.listAssets':
    'The list of assets is kept by a job of its own (tests/workers), and is the same for every account.',
  'call broker.readSessions':
    "No worker asks for the calendar: the broker's clock says when a session opens and closes.",
  'anomaly held_overflow':
    'More than 256 executions would have to wait for an earlier one (tests/domain/reduce.test.ts).',
  'anomaly too_many_placements':
    'An order would have to be replaced more than 64 times (tests/domain/requests.test.ts).',
  'anomaly set_aside':
    'A job would have to bring ten workers down (tests/scenarios/poison.test.ts).',
  'anomaly unreadable_order':
    'The model broker always says what is bought or sold (tests/scenarios/unread-fields.test.ts).',
  'anomaly unknown_order':
    'The lists of the model broker name no order that it does not have (tests/domain/reduce.test.ts).',
  'anomaly illegal_transition':
    'The model broker never says what cannot be (tests/domain/reduce.test.ts).',
  'anomaly foreign_order':
    'Nobody else places orders under ids of ours here (tests/scenarios/lost-records.test.ts).',
  'anomaly appeared_after_close':
    'An order would have to be invisible for a quarter of an hour (tests/scenarios/submission.test.ts).',
  ...Object.fromEntries(
    ['submitted', 'partially_filled', 'filled', 'canceled', 'rejected', 'expired', 'replaced'].map(
      (to) => [
        `transition denied -> ${to}`,
        'Only an order that appears after it was closed as never received (tests/domain/chains.test.ts).',
      ],
    ),
  ),
  ...Object.fromEntries(
    [
      'canceled -> expired',
      'canceled -> replaced',
      'rejected -> expired',
      'rejected -> replaced',
      'rejected -> canceled',
      'rejected -> filled',
      'replaced -> expired',
      'replaced -> filled',
    ].map((change) => [
      `transition ${change}`,
      'The model broker ends an order once and stays with it (tests/domain/reduce.test.ts has every order of endings).',
    ]),
  ),
}
