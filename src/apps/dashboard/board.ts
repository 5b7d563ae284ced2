import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { HonoAdapter } from '@bull-board/hono'
import { serveStatic } from '@hono/node-server/serve-static'
import type { Queue } from 'bullmq'
import { Hono } from 'hono'
import type { Logger } from '#runtime'
import { CONTROLS_PATH } from './controls.ts'
import { QUARANTINE_PATH } from './quarantine.ts'
import { redactAnswer, redactData, scrubText } from './redact.ts'

/** Path of the board; the dashboard's own pages lie beside it. */
export const BOARD_PATH = '/queues'
/**
 * Names the person behind a request to the board, for the log. The gate in front of the board
 * overwrites any value that a client sends.
 */
export const USER_HEADER = 'x-dashboard-user'
const LOOK_ONLY =
  'The board is to look only. Operators pause, resume and retry on the page Controls.'

/**
 * Bull Board, redacted and read-only. Its buttons cannot be enabled one by one, and most buttons
 * would lose orders: only the producer adds jobs, redacted data must not be saved back, and a
 * finished job is kept because its id makes a repeated trade one order. Operators act on the page
 * `/controls`. The gate in front of the board decides who may open it.
 */
export function createBoard(queues: readonly Queue[], log: Logger): Hono {
  const serverAdapter = new HonoAdapter(serveStatic).setBasePath(BOARD_PATH)
  const redactJob = (value: unknown): unknown => redactData(value)
  createBullBoard({
    serverAdapter,
    queues: queues.map((queue) => {
      const adapter = new BullMQAdapter(queue, { readOnlyMode: true })
      for (const field of ['data', 'returnValue', 'progress'] as const)
        adapter.setFormatter(field, redactJob)
      return adapter
    }),
    options: {
      uiConfig: {
        boardTitle: 'Fillcast',
        hideRedisDetails: true,
        hideDocsLink: true,
        miscLinks: [
          { text: 'Controls', url: CONTROLS_PATH },
          { text: 'Quarantine', url: QUARANTINE_PATH },
          { text: 'Log out', url: '/logout' },
        ],
      },
      handlerHooks: {
        before({ method, route, request }) {
          if (method === 'get') return { allow: true }
          const { queueName, jobId } = request.params as Record<string, string | undefined>
          const user = request.headers[USER_HEADER]
          log.info(
            { user, action: `${method} ${route}`, queueName, jobId, allow: false },
            'dashboard.action',
          )
          return { allow: false, status: 403, errorKey: 'ERRORS.FORBIDDEN', message: LOOK_ONLY }
        },
        after: (_context, answer) => ({
          ...answer,
          body: redactAnswer(answer.body) as typeof answer.body,
        }),
      },
    },
  })
  serverAdapter.setErrorHandler((error) => {
    log.error({ error }, 'dashboard.request_failed')
    return {
      status: 500,
      body: { error: { key: 'ERRORS.INTERNAL_SERVER_ERROR' }, message: scrubText(error.message) },
    }
  })
  return new Hono({ strict: false }).route(BOARD_PATH, serverAdapter.registerPlugin())
}
