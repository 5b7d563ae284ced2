import { html } from 'hono/html'
import { clientOrderIdOf } from '#domain'
import type { QuarantinedOrder } from '#store'
import { nav, page, palette } from './page.ts'
import type { User } from './users.ts'

/** The data of the page. */
export type Quarantine = Readonly<{
  user: User
  /** The store has no mark: it is new, or lost everything. */
  isUnmarked: boolean
  orders: readonly QuarantinedOrder[]
  total: number
  /** The result of a request, and the reason of a refusal. */
  notice?: string | undefined
  problem?: string | undefined
}>

const DUE: Readonly<Record<QuarantinedOrder['due'], string>> = {
  submission:
    'Workers were lost, time and again, while it was being submitted: whether it is at the broker is not known',
  cancel: 'Workers were lost, time and again, while it was being canceled: it may still execute',
  replacement:
    'Workers were lost, time and again, while it was being replaced: the old terms may still hold',
  nothing: 'Workers were lost, time and again, while it was worked on',
}

/**
 * The page of the states that only a person can resolve: a store without a mark, and quarantined
 * orders.
 */
export const quarantinePage = (shown: Quarantine) =>
  page(
    'Fillcast: for operators',
    '/quarantine.css',
    html`${nav('/quarantine', shown.user)}
      <main>
        ${shown.notice === undefined ? '' : html`<p role="status">${shown.notice}</p>`}
        ${shown.problem === undefined ? '' : html`<p role="alert">${shown.problem}</p>`}
        <section>
          <h2>The store</h2>
          ${storeSection(shown)}
        </section>
        <section>
          <h2>Orders that were set aside</h2>
          ${ordersSection(shown)}
        </section>
      </main>`,
  )

function storeSection({ isUnmarked, user }: Quarantine) {
  if (!isUnmarked) return html`<p>It is the one that workers know. There is nothing to accept.</p>`
  return html`<p class="bad">
      It has no mark: either this Redis is new, or it has lost everything. Workers that expect to
      find one (<code>STORE_EXPECTED=1</code>) hold every order and command back until it is
      accepted.
    </p>
    <p>To accept it means:</p>
    <ul>
      <li>
        What it held does not come back. Orders, positions and cash are read anew from the brokers;
        clients start from there.
      </li>
      <li>
        Only accounts that have been connected again are followed. Limits and halts that have not
        been set again are not in force:
        <strong>the next order is sent without them.</strong>
      </li>
      <li>
        Jobs that were queued are gone. The trade API repeats, under its trade id, whatever it is
        not sure of.
      </li>
    </ul>
    ${user.role === 'operator' ? acceptForm : html`<p>Viewers look only. Ask an operator.</p>`}`
}

const acceptForm = html`<form method="post" action="/quarantine/accept-store">
  <label>Why, for the log<input name="reason" maxlength="500" required autocomplete="off" /></label>
  <label class="check"
    ><input type="checkbox" name="confirmed" value="yes" required /> The accounts are connected
    again, and limits and halts are set again.</label
  >
  <button>Accept this store</button>
</form>`

function ordersSection({ orders, total }: Quarantine) {
  const failed = html`A job that was given up before its trade had a record is among the
    <a href="/controls">failed jobs of orders</a>, and is retried there.`
  if (orders.length === 0)
    return html`<p>None.</p>
      <p class="dim">${failed}</p>`
  return html`<p>
      Nothing is sent for these any more; what the broker tells of them is followed as ever. Find
      out what brings workers down (they log <code>order.set_aside</code>, and what came before it),
      and look the order up at the broker under its client order id.
    </p>
    <p>
      Then ask anew through the trade API: a <code>cancelOrder</code> takes any of them up again, a
      <code>replaceOrder</code> one that is open. Do not submit it under a new trade id before that:
      it may be there twice.
    </p>
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th>Trade</th>
            <th>User</th>
            <th>Connection</th>
            <th>Symbol</th>
            <th>Since</th>
            <th>Why</th>
            <th>Client order id</th>
          </tr>
        </thead>
        <tbody>
          ${orders.map(
            ({ tradeId, userId, connectionId, symbol, at, due }) =>
              html`<tr>
                <td>${tradeId}</td>
                <td>${userId}</td>
                <td>${connectionId}</td>
                <td>${symbol}</td>
                <td><time datetime="${at}">${at.slice(0, 19).replace('T', ' ')} UTC</time></td>
                <td>${DUE[due]}</td>
                <td><code>${clientOrderIdOf(userId, tradeId)}</code></td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${total > orders.length ? html`<p>These are the oldest ${orders.length} of ${total}.</p>` : ''}
    <p class="dim">${failed}</p>`
}

export const quarantineStyle = `
${palette}* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
nav { display: flex; flex-wrap: wrap; gap: 1.2rem; padding: .8rem 1.5rem; background: var(--card); border-bottom: 1px solid var(--line) }
nav span { margin-left: auto; color: var(--dim) }
a { color: var(--accent) }
main { max-width: 80rem; margin: 0 auto; padding: 1.5rem }
section { margin-bottom: 1.5rem; padding: 1.2rem 1.5rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem }
h2 { margin: 0 0 .6rem; font-size: 1.1rem }
p, ul { max-width: 62rem; margin: 0 0 .8rem }
.dim { color: var(--dim); font-size: .875rem }
.bad, p[role=alert] { color: var(--bad) }
p[role=status] { color: var(--accent) }
label { display: block; max-width: 36rem; margin-bottom: 1rem; font-size: .875rem; color: var(--dim) }
label:not(.check) input { display: block; width: 100%; margin-top: .3rem; padding: .55rem .7rem; font: inherit; color: var(--ink);
  background: var(--page); border: 1px solid var(--line); border-radius: .4rem }
button { padding: .6rem 1.2rem; font: inherit; font-weight: 600; color: var(--on-accent); background: var(--accent); border: 0;
  border-radius: .4rem; cursor: pointer }
:is(input, button, a):focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.wide { overflow-x: auto; margin-bottom: .8rem }
table { border-collapse: collapse; font-size: .875rem }
th, td { padding: .5rem .9rem .5rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; min-width: 7.5rem }
th { color: var(--dim); font-weight: 500 }
td:nth-child(6) { min-width: 18rem }
td form { margin: 0 }
td button { padding: .25rem .7rem; font-size: .8rem; white-space: nowrap }
h3 { margin: 1rem 0 .3rem; font-size: 1rem }
code { font-size: .85em }
`
