import type { Queue } from 'bullmq'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Logger } from '#runtime'
import { controlsPage, type ControlsView } from './controls-page.ts'
import { mayPause, readQueues } from './queue-state.ts'
import type { User } from './users.ts'

/** Path of the page. */
export const CONTROLS_PATH = '/controls'

const JOB_ID_LENGTH_MAX = 1_024
const queueForm = z.object({ queue: z.string().max(64) })
const retryForm = queueForm.extend({ job: z.string().min(1).max(JOB_ID_LENGTH_MAX) })

/** The text of each completed action, by its code in the query `said`. */
const notices = new Map([
  ['paused', 'The queue is paused. New orders wait until it is resumed.'],
  ['resumed', 'The queue is resumed.'],
  ['retried', 'The job is tried again.'],
])

type Env = { Variables: { user: User } }

/**
 * The page on which operators pause and resume queues and retry failed jobs. The gate in front of
 * the page decides who may open it.
 */
export function createControlsPage(queues: readonly Queue[], log: Logger): Hono<Env> {
  const app = new Hono<Env>()
  const byName = new Map(queues.map((queue) => [queue.name, queue]))
  const show = async (user: User, said: Pick<ControlsView, 'notice' | 'problem'>) =>
    controlsPage({ user, queues: await readQueues(queues), ...said })
  const refuse = async (c: Context<Env>, problem: string, status: 400 | 403 | 409) =>
    c.html(await show(c.var.user, { problem }), status)
  const done = (c: Context<Env>, said: string) => c.redirect(`${CONTROLS_PATH}?said=${said}`, 303)
  /** Logs the user and the action; answers the refusal if the user is a viewer. */
  const admit = async (c: Context<Env>, action: string, about: Record<string, unknown>) => {
    const { name: user, role } = c.var.user
    const allow = role === 'operator'
    log.info({ user, role, action, ...about, allow }, 'dashboard.action')
    return allow ? null : refuse(c, 'Viewers look only. Ask an operator.', 403)
  }
  const formOf = async <Schema extends z.ZodType>(c: Context<Env>, schema: Schema) =>
    schema.safeParse(await c.req.parseBody().catch(() => null))

  app.get(CONTROLS_PATH, async (c) =>
    c.html(await show(c.var.user, { notice: notices.get(c.req.query('said') ?? '') })),
  )
  app.post(`${CONTROLS_PATH}/:verb{pause|resume}`, async (c) => {
    const verb = c.req.param('verb')
    const form = await formOf(c, queueForm)
    const refused = await admit(c, `${verb} queue`, { queueName: form.data?.queue })
    if (refused !== null) return refused
    const queue = byName.get(form.data?.queue ?? '')
    if (queue === undefined) return refuse(c, 'There is no such queue.', 400)
    if (verb === 'resume') {
      await queue.resume()
      return done(c, 'resumed')
    }
    if (!mayPause(queue.name))
      return refuse(
        c,
        `A pause of ${queue.name} would stop cancels or health checks. Only orders may be paused.`,
        403,
      )
    await queue.pause()
    return done(c, 'paused')
  })
  app.post(`${CONTROLS_PATH}/retry`, async (c) => {
    const form = await formOf(c, retryForm)
    const refused = await admit(c, 'retry job', {
      queueName: form.data?.queue,
      jobId: form.data?.job,
    })
    if (refused !== null) return refused
    const job = await byName.get(form.data?.queue ?? '')?.getJob(form.data?.job ?? '')
    if (job === undefined)
      return refuse(c, 'There is no such job. It may have been tried again already.', 400)
    if (!(await job.isFailed()))
      return refuse(c, 'The job has not failed: there is nothing to try again.', 409)
    await job.retry('failed')
    return done(c, 'retried')
  })
  return app
}
