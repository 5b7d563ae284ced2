import ts from 'typescript'
import type { Source } from '../tidy/source.ts'

/**
 * What goes wrong between a queued trade and the position that its user sees. A test of one begins
 * its name with the id; the letters are the part of the system: submission, fills, cancels,
 * positions, connections, Redis and queue, crashes, clock, many accounts.
 */
export const scenarios = {
  'SUB-01': 'Reply lost after acceptance',
  'SUB-02': 'Request lost before acceptance',
  'SUB-03': 'Server error after acceptance',
  'SUB-04': '"Client order id must be unique"',
  'SUB-05': 'Order not visible yet',
  'SUB-06': 'Two deliveries of one job at once',
  'SUB-07': 'Hidden retries inside the HTTP client',
  'SUB-08': 'No timeout on the call',
  'SUB-09': 'Fill arrives before the POST reply',
  'SUB-10': 'Same `tradeId`, other parameters',
  'SUB-11': 'Rate limited on submit',
  'SUB-12': 'Stale intent',
  'SUB-13': 'Halt between dequeue and POST',
  'SUB-14': 'Number formats',
  'FIL-01': 'Same event delivered twice',
  'FIL-02': 'Whole sequence replayed after the end',
  'FIL-03': 'One fill, two channels, two identities',
  'FIL-04': 'Partial fills out of order',
  'FIL-05': 'One frame dropped, stream healthy',
  'FIL-06': 'Fills during a disconnect',
  'FIL-07': 'Partial fill, then cancelled',
  'FIL-08': 'Fill and cancel cross',
  'FIL-09': 'Final fill carries the whole quantity',
  'FIL-10': 'Baseline lost on restart',
  'FIL-11': 'More filled than ordered',
  'FIL-12': 'Bust or correction',
  'CAN-01': 'Cancel outcome unknown',
  'CAN-02': 'Cancel refused',
  'CAN-03': 'Cancel before the submission is resolved',
  'CAN-04': 'Replace accepted, then the original fills',
  'CAN-05': 'Replace of a partially filled order',
  'CAN-06': 'Commands aimed at the wrong member of the chain',
  'CAN-07': 'Phantom cancel',
  'CAN-08': 'Two commands race on one trade',
  'CAN-09': 'Bracket and one-cancels-other legs',
  'CAN-10': 'Protective order left behind',
  'POS-01': 'Position snapshot lags the fill',
  'POS-02': 'Failed query read as "flat"',
  'POS-03': 'Old snapshot overwrites newer events',
  'POS-04': 'Orders placed outside',
  'POS-05': 'Fill crosses zero',
  'POS-06': 'Broker refuses to cross zero',
  'POS-07': 'Exit sized from stale or reserved quantity',
  'POS-08': 'Splits and other corporate actions',
  'POS-09': 'Cash moves without trades',
  'POS-10': 'Fee taken in kind',
  'POS-11': 'Drift repaired twice',
  'CON-01': 'Connected but mute',
  'CON-02': 'Reconnect storm',
  'CON-03': 'Recovery in the wrong order',
  'CON-04': 'Flapping',
  'CON-05': 'Credentials expired or revoked',
  'CON-06': 'Stream down, REST up (and the reverse)',
  'CON-07': 'Budget exhausted by polling',
  'CON-08': 'Unknown or malformed message',
  'CON-09': 'Slow consumer',
  'RDQ-01': 'Job lock lost while still running',
  'RDQ-02': 'Job failed, order alive',
  'RDQ-03': 'Job id no longer deduplicates',
  'RDQ-04': 'The last second of writes is lost',
  'RDQ-05': 'Everything is lost',
  'RDQ-06': 'A command is applied twice',
  'RDQ-07': 'A script stops half way',
  'RDQ-08': 'Worker alive, consuming nothing',
  'RDQ-09': 'Event published to nobody',
  'RDQ-10': 'Marked as published, and never published',
  'RDQ-11': 'Published, and never marked',
  'RDQ-12': 'A rejected publish kills the process',
  'CRA-01': 'Crash before the request is sent',
  'CRA-02': 'Crash after acceptance, before it is recorded',
  'CRA-03': 'Crash after the state change, before the event',
  'CRA-04': 'Crash during reconcile',
  'CRA-05': 'Crash again during recovery',
  'CRA-06': 'Termination signal with work in flight',
  'CRA-07': 'Paused process wakes up',
  'CRA-08': 'Poison job',
  'CRA-09': 'Two versions at once',
  'CLK-01': 'Wall clock jumps',
  'CLK-02': 'Daylight saving and early closes',
  'CLK-03': 'Order accepted out of hours',
  'CLK-04': 'Day order expires',
  'CLK-05': 'Multi-day orders across restarts',
  'CLK-06': 'Day boundary in queries',
  'MUL-01': 'Event reaches the wrong user',
  'MUL-02': 'Credentials changed under way',
  'MUL-03': 'One account starves the rest',
  'MUL-04': 'Everybody reconnects at the open',
  'MUL-05': 'Two workers own one account',
  'MUL-06': 'One broker account, two users',
  'MUL-07': 'Account unlinked with orders open',
} as const satisfies Record<string, string>
export type ScenarioId = keyof typeof scenarios

/** Why an id has no test: a whole sentence. */
export const notApplicable: Partial<Record<ScenarioId, string>> = {
  'RDQ-10':
    'One script writes state, log and publication, so there is no mark that could be wrong.',
  'RDQ-11': 'As RDQ-10: nothing is published later from a list, so nothing can be left on it.',
}

/** A test and the file it is in. */
export type NamedTest = Readonly<{ name: string; path: string }>

const SUITE = /^(describe|test|it)\b/
const IDS = /^[A-Z]{3}-\d\d(?:,? [A-Z]{3}-\d\d)*(?= )/

/** The tests of each id, by the names that they begin with. */
export function testsById(sources: readonly Source[]): Map<string, NamedTest[]> {
  const found = new Map<string, NamedTest[]>()
  for (const { path, tree } of sources) {
    const visit = (node: ts.Node): void => {
      const name = nameOf(node)
      for (const id of (IDS.exec(name ?? '')?.[0] ?? '').match(/[A-Z]{3}-\d\d/g) ?? [])
        found.set(id, [...(found.get(id) ?? []), { name: name ?? '', path }])
      ts.forEachChild(node, visit)
    }
    visit(tree)
  }
  return found
}

/**
 * The name that a call gives to a test or a suite, as far as it is written there, or a row of a
 * table gives to its test.
 */
function nameOf(node: ts.Node): string | null {
  if (ts.isStringLiteralLike(node))
    return ts.isArrayLiteralExpression(node.parent) ? node.text : null
  if (!ts.isCallExpression(node) || !SUITE.test(node.expression.getText())) return null
  const [first] = node.arguments
  if (first === undefined) return null
  if (ts.isStringLiteralLike(first)) return first.text
  return ts.isTemplateExpression(first) ? `${first.head.text}...` : null
}

/** The catalogue as a table: each id with its title and its test files. */
export function tableOf(tests: ReadonlyMap<string, readonly NamedTest[]>): string {
  const rows = Object.entries(scenarios).map(([id, title]) => {
    const paths = [
      ...new Set((tests.get(id) ?? []).map(({ path }) => path.replace('tests/', ''))),
    ].sort()
    const shown = paths.map((path) => `[${path}](../${path})`).join(', ')
    return `| ${id} | ${title} | ${shown || (notApplicable[id as ScenarioId] ?? '')} |`
  })
  return ['| id | what goes wrong | shown by |', '| --- | --- | --- |', ...rows].join('\n')
}
