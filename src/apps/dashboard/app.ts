import { getConnInfo } from '@hono/node-server/conninfo'
import type { Queue } from 'bullmq'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { secureHeaders } from 'hono/secure-headers'
import { z } from 'zod'
import type { Clock, Logger } from '#runtime'
import { BOARD_PATH, createBoard } from './board.ts'
import { loginPage, loginStyle } from './login-page.ts'
import { passwordMatches } from './passwords.ts'
import { SESSION_SECONDS, Sessions } from './session.ts'
import { LoginThrottle } from './throttle.ts'
import type { User } from './users.ts'

const COOKIE = 'fillcast_dashboard'
const BODY_BYTES_MAX = 16 * 1024
const LOGIN_TEXT_MAX = 1_024
const loginForm = z.object({
  name: z.string().max(LOGIN_TEXT_MAX),
  password: z.string().min(1).max(LOGIN_TEXT_MAX),
  next: z.string().max(LOGIN_TEXT_MAX).default('/'),
})

/** Bull Board brings its own styles and one inline sheet; it also asks a font host, which is not let through. */
const headers = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:'],
    fontSrc: ["'self'"],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    baseUri: ["'self'"],
    frameAncestors: ["'none'"],
  },
  xFrameOptions: 'DENY',
  referrerPolicy: 'same-origin',
})

const isHttps = (c: Context): boolean =>
  new URL(c.req.url).protocol === 'https:' || c.req.header('x-forwarded-proto') === 'https'

/** A path on this site, whatever was asked for. */
function localPath(next: string): string {
  const url = URL.parse(next, 'http://dashboard.invalid')
  return url?.origin === 'http://dashboard.invalid' && next.startsWith('/') ? url.pathname + url.search : '/'
}

/** The dashboard as a web application. Every path but the login itself asks for a session first. */
export function createDashboard(
  queues: readonly Queue[],
  users: ReadonlyMap<string, User>,
  clock: Clock,
  log: Logger,
): Hono<{ Variables: { user: User } }> {
  const app = new Hono<{ Variables: { user: User } }>()
  const sessions = new Sessions(users, clock)
  const throttle = new LoginThrottle(clock)
  const boards = { viewer: createBoard(queues, 'viewer', log), operator: createBoard(queues, 'operator', log) }

  app.use(headers)
  app.use(bodyLimit({ maxSize: BODY_BYTES_MAX }))
  app.use(async (c, next) => {
    c.header('Cache-Control', 'no-store')
    // The cookie is SameSite=Strict already; this also covers older browsers' neighbours on other ports, and the login form.
    const site = c.req.header('sec-fetch-site')
    const writes = c.req.method !== 'GET' && c.req.method !== 'HEAD'
    if (writes && site !== undefined && site !== 'same-origin' && site !== 'none')
      return c.text('Cross-site request refused', 403)
    return next()
  })
  app.onError((error, c) => {
    log.error({ error }, 'dashboard.request_failed')
    return c.text('Something went wrong here. The log has the reason.', 500)
  })

  app.get('/login.css', (c) => c.body(loginStyle, 200, { 'content-type': 'text/css; charset=utf-8' }))
  app.get('/login', (c) => c.html(loginPage(localPath(c.req.query('next') ?? '/'))))
  app.post('/login', async (c) => {
    const form = loginForm.safeParse(await c.req.parseBody())
    if (!form.success) return c.html(loginPage('/', 'Give a name and a password.'), 400)
    const { name, password, next } = form.data
    const user = users.get(name)
    const address = getConnInfo(c).remote.address ?? 'unknown'
    // Names that do not exist share one entry, so that inventing names fills nothing.
    const pair = `${address} ${user === undefined ? '?' : name}`
    const right = await throttle.check(pair, () => passwordMatches(password, user?.hash))
    if (typeof right !== 'boolean') {
      log.warn({ address }, 'dashboard.login_throttled')
      c.header('Retry-After', String(right.retryAfterSeconds))
      return c.html(loginPage(localPath(next), `Too many tries. Wait ${right.retryAfterSeconds} s.`), 429)
    }
    if (!right || user === undefined) {
      log.warn({ address }, 'dashboard.login_failed')
      return c.html(loginPage(localPath(next), 'Name or password is wrong.'), 401)
    }
    log.info({ address, user: name, role: user.role }, 'dashboard.login')
    setCookie(c, COOKIE, await sessions.open(user), {
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
      maxAge: SESSION_SECONDS,
      secure: isHttps(c),
    })
    return c.redirect(localPath(next), 303)
  })

  app.use(async (c, next) => {
    const user = await sessions.userOf(getCookie(c, COOKIE))
    if (user !== null) {
      c.set('user', user)
      return next()
    }
    const isPage = c.req.method === 'GET' && (c.req.header('accept') ?? '').includes('text/html')
    if (!isPage) return c.json({ error: 'UNAUTHENTICATED', message: 'Log in at /login first.' }, 401)
    const { pathname, search } = new URL(c.req.url)
    return c.redirect(pathname === '/' ? '/login' : `/login?next=${encodeURIComponent(pathname + search)}`, 303)
  })
  app.get('/logout', (c) => {
    deleteCookie(c, COOKIE, { path: '/' })
    return c.redirect('/login', 303)
  })
  app.get('/', (c) => c.redirect(BOARD_PATH, 303))
  app.all(`${BOARD_PATH}/*`, (c) => boards[c.var.user.role].fetch(c.req.raw, c.env))
  return app
}
