import { html } from 'hono/html'
import { nav, page } from './page.ts'
import { FAILED_SHOWN_MAX, type FailedJob, mayPause, type QueueState } from './queue-state.ts'
import type { User } from './users.ts'

/**
 * The fields of the page. `notice` is the result of a request, `problem` the reason of a refusal.
 */
export type ControlsView = Readonly<{
  user: User
  queues: readonly QueueState[]
  notice?: string | undefined
  problem?: string | undefined
}>

/**
 * The page to pause and resume queues and to retry failed jobs. A viewer gets it without buttons.
 */
export const controlsPage = ({ user, queues, notice, problem }: ControlsView) =>
  page(
    'Fillcast: controls',
    '/quarantine.css',
    html`${nav('/controls', user)}
      <main>
        ${notice === undefined ? '' : html`<p role="status">${notice}</p>`}
        ${problem === undefined ? '' : html`<p role="alert">${problem}</p>`}
        <section>
          <h2>Queues</h2>
          <p>
            A pause of <code>orders</code> lets new orders wait; workers go on with cancels and
            health checks. A pause is no halt: orders that a worker has taken are still sent. To
            stop trading, use <code>halt()</code>.
          </p>
          <div class="wide">
            <table>
              <thead>
                <tr>
                  <th>Queue</th>
                  <th>State</th>
                  <th>Waiting</th>
                  <th>Active</th>
                  <th>Delayed</th>
                  <th>Failed</th>
                  <th></th>
                </tr>
              </thead>
              <tbody>
                ${queues.map((queue) => queueRow(queue, user))}
              </tbody>
            </table>
          </div>
        </section>
        <section>
          <h2>Failed jobs</h2>
          ${queues.every(({ failed }) => failed.length === 0) ? html`<p>None.</p>` : ''}
          ${queues.map((queue) => (queue.failed.length === 0 ? '' : failedTable(queue, user)))}
        </section>
      </main>`,
  )

function queueRow({ name, isPaused, counts }: QueueState, user: User) {
  return html`<tr>
    <td><a href="/queues/queue/${name}">${name}</a></td>
    <td>${isPaused ? html`<strong class="bad">paused</strong>` : 'running'}</td>
    <td>${counts.waiting}</td>
    <td>${counts.active}</td>
    <td>${counts.delayed}</td>
    <td>${counts.failed}</td>
    <td>${user.role === 'operator' ? queueButton(name, isPaused) : ''}</td>
  </tr>`
}

/**
 * The button of one queue. Only the queue of new orders can be paused here; any queue can be
 * resumed, because another tool may have paused it.
 */
function queueButton(name: string, isPaused: boolean) {
  if (!isPaused && !mayPause(name)) return ''
  const verb = isPaused ? 'resume' : 'pause'
  return html`<form method="post" action="/controls/${verb}">
    <input type="hidden" name="queue" value="${name}" />
    <button>${isPaused ? 'Resume' : 'Pause'} ${name}</button>
  </form>`
}

function failedTable({ name, counts, failed }: QueueState, user: User) {
  return html`<h3>${name}</h3>
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th>Job</th>
            <th>Kind</th>
            <th>Failed</th>
            <th>Why</th>
            <th></th>
          </tr>
        </thead>
        <tbody>
          ${failed.map((job) => failedRow(name, job, user))}
        </tbody>
      </table>
    </div>
    ${counts.failed > failed.length ? html`<p>These are the newest ${FAILED_SHOWN_MAX} of ${counts.failed}.</p>` : ''}`
}

function failedRow(queue: string, { id, name, failedAt, reason }: FailedJob, user: User) {
  return html`<tr>
    <td><code>${id}</code></td>
    <td>${name}</td>
    <td>
      ${failedAt === null ? '' : html`<time datetime="${failedAt}">${failedAt.slice(0, 19).replace('T', ' ')} UTC</time>`}
    </td>
    <td>${reason}</td>
    <td>${user.role === 'operator' ? retryButton(queue, id) : ''}</td>
  </tr>`
}

const retryButton = (queue: string, id: string) =>
  html`<form method="post" action="/controls/retry">
    <input type="hidden" name="queue" value="${queue}" />
    <input type="hidden" name="job" value="${id}" />
    <button>Retry</button>
  </form>`
