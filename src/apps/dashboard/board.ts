import { serveStatic } from '@hono/node-server/serve-static'
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { HonoAdapter } from '@bull-board/hono'
import type { Queue } from 'bullmq'
import { Hono } from 'hono'
import type { Logger } from '#runtime'
import { ATTENTION_PATH } from './attention.ts'
import { redactAnswer, redactData, scrubText } from './redact.ts'
import type { Role } from './users.ts'

/** Where the board lies; the paths beside it are ours. */
export const BOARD_PATH = '/queues'

/**
 * What an operator may do, by method and route. Of a whole status only the failed ones are
 * retried. Nothing that adds, edits or removes a job: jobs come from the producer only, a job's
 * shown data is redacted and must not be saved back, and a finished job that is still there is what makes a repeated trade one order.
 */
const operatorActions = new Set([
  'put /api/queues/pause',
  'put /api/queues/resume',
  'put /api/queues/:queueName/pause',
  'put /api/queues/:queueName/resume',
  'put /api/queues/:queueName/promote',
  'put /api/queues/:queueName/retry/:queueStatus',
  'put /api/queues/:queueName/:jobId/retry',
  'put /api/queues/:queueName/:jobId/promote',
  'put /api/queues/:queueName/job-schedulers/:schedulerId/run',
])

const refusals: Readonly<Record<Role, string>> = {
  viewer: 'Viewers look only. Ask an operator.',
  operator:
    'Jobs are not added, edited or removed here: they come from the trade API, and finished ones keep a repeated trade one order.',
}

/** Bull Board for one role, redacted. Who may open it is decided in front of it. */
export function createBoard(queues: readonly Queue[], role: Role, log: Logger): Hono {
  const serverAdapter = new HonoAdapter(serveStatic).setBasePath(BOARD_PATH)
  const redactJob = (value: unknown): unknown => redactData(value)
  createBullBoard({
    serverAdapter,
    queues: queues.map((queue) => {
      const adapter = new BullMQAdapter(queue, { readOnlyMode: role === 'viewer' })
      for (const field of ['data', 'returnValue', 'progress'] as const) adapter.setFormatter(field, redactJob)
      return adapter
    }),
    options: {
      uiConfig: {
        boardTitle: 'Fillcast',
        hideRedisDetails: true,
        hideDocsLink: true,
        miscLinks: [
          { text: 'Attention', url: ATTENTION_PATH },
          { text: 'Log out', url: '/logout' },
        ],
      },
      handlerHooks: {
        before({ method, route, request }) {
          if (method === 'get') return { allow: true }
          const action = `${method} ${route}`
          const { queueName, jobId, queueStatus } = request.params as Record<string, string | undefined>
          const isMeant = queueStatus === undefined || queueStatus === 'failed'
          const allow = role === 'operator' && operatorActions.has(action) && isMeant
          log.info({ role, action, queueName, jobId, queueStatus, allow }, 'dashboard.action')
          return allow ? { allow } : { allow, status: 403, errorKey: 'ERRORS.FORBIDDEN', message: refusals[role] }
        },
        after: (_context, answer) => ({ ...answer, body: redactAnswer(answer.body) as typeof answer.body }),
      },
    },
  })
  serverAdapter.setErrorHandler((error) => {
    log.error({ error }, 'dashboard.request_failed')
    return { status: 500, body: { error: { key: 'ERRORS.INTERNAL_SERVER_ERROR' }, message: scrubText(error.message) } }
  })
  return new Hono({ strict: false }).route(BOARD_PATH, serverAdapter.registerPlugin())
}
