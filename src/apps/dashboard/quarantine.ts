import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { ControlCommands } from '#producer'
import type { Logger } from '#runtime'
import type { QuarantinedOrders, StoreEpoch } from '#store'
import { type Quarantine, quarantinePage, quarantineStyle } from './quarantine-page.ts'
import type { User } from './users.ts'

/** Path of the page. */
export const QUARANTINE_PATH = '/quarantine'

/** The sources of the page, and its one action: accepting a store without a mark. */
export type QuarantineDeps = Readonly<{
  aside: Pick<QuarantinedOrders, 'list'>
  epoch: Pick<StoreEpoch, 'read'>
  controls: Pick<ControlCommands, 'acceptStore'>
}>

const REASON_LENGTH_MAX = 500
const acceptForm = z.object({
  reason: z
    .string()
    .trim()
    .min(1, 'Say why: it is kept in the log.')
    .max(REASON_LENGTH_MAX, `Say why in ${REASON_LENGTH_MAX} characters at most.`),
  confirmed: z.literal('yes', {
    error:
      'Nothing was accepted. Connect the accounts, set limits and halts, and say that it is done.',
  }),
})

const notices = new Map([
  ['accepted', 'The store is accepted. Workers go on within a second.'],
  ['nothing', 'There was nothing to accept: somebody was faster, or nothing was missing.'],
])

/**
 * The page of the states that only a person can resolve. The gate in front of the page decides who
 * may open it.
 */
export function createQuarantine(
  { aside, epoch, controls }: QuarantineDeps,
  log: Logger,
): Hono<{ Variables: { user: User } }> {
  const app = new Hono<{ Variables: { user: User } }>()
  const show = async (user: User, said: Pick<Quarantine, 'notice' | 'problem'>) => {
    const [{ orders, total }, marker] = await Promise.all([aside.list(), epoch.read()])
    return quarantinePage({ user, isUnmarked: marker === null, orders, total, ...said })
  }
  const refuse = async (c: Context, user: User, problem: string, status: 400 | 403) =>
    c.html(await show(user, { problem }), status)

  app.get(`${QUARANTINE_PATH}.css`, (c) =>
    c.body(quarantineStyle, 200, { 'content-type': 'text/css; charset=utf-8' }),
  )
  app.get(QUARANTINE_PATH, async (c) =>
    c.html(await show(c.var.user, { notice: notices.get(c.req.query('said') ?? '') })),
  )
  app.post(`${QUARANTINE_PATH}/accept-store`, async (c) => {
    const { user } = c.var
    const allow = user.role === 'operator'
    log.info(
      { role: user.role, user: user.name, action: 'accept store', allow },
      'dashboard.action',
    )
    if (!allow) return refuse(c, user, 'Viewers look only. Ask an operator.', 403)
    const form = acceptForm.safeParse(await c.req.parseBody().catch(() => null)) // null: not a form
    if (!form.success) return refuse(c, user, problemOf(form.error), 400)
    const { isNew } = await controls.acceptStore({ by: user.name, reason: form.data.reason })
    return c.redirect(`${QUARANTINE_PATH}?said=${isNew ? 'accepted' : 'nothing'}`, 303)
  })
  return app
}

/** The first problem of the form. The pages never send a form in which a field is missing. */
const problemOf = ({ issues: [first] }: z.ZodError): string =>
  first?.code === 'invalid_type'
    ? 'The form is not complete.'
    : (first?.message ?? 'The form cannot be read.')
