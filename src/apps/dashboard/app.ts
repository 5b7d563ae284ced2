import { getConnInfo } from '@hono/node-server/conninfo'
import type { Queue } from 'bullmq'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { secureHeaders } from 'hono/secure-headers'
import { z } from 'zod'
import { LoginThrottle } from '#auth'
import { UnavailableError } from '#producer'
import type { Clock, Logger } from '#runtime'
import { BOARD_PATH, createBoard, USER_HEADER } from './board.ts'
import { createControlsPage } from './controls.ts'
import { loginPage, loginStyle } from './login-page.ts'
import { isFromHere, localPath } from './origin.ts'
import { passwordMatches } from './passwords.ts'
import { createQuarantine, type QuarantineDeps } from './quarantine.ts'
import { SESSION_SECONDS, type Sessions } from './session.ts'
import type { User } from './users.ts'

const NEXT_DEFAULT = '/'
const COOKIE = 'fillcast_dashboard'
const BODY_BYTES_MAX = 16 * 1024
const LOGIN_TEXT_MAX = 1_024
const loginForm = z.object({
  name: z.string().max(LOGIN_TEXT_MAX),
  password: z.string().min(1).max(LOGIN_TEXT_MAX),
  next: z.string().max(LOGIN_TEXT_MAX).default(NEXT_DEFAULT),
})

/**
 * Bull Board brings its own styles and one inline sheet. It also requests a font host; this policy
 * blocks that request.
 */
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

type App = Hono<{ Variables: { user: User } }>

/** The dashboard as a web application. Every path except the login requires a session. */
export function createDashboard(
  queues: readonly Queue[],
  quarantine: QuarantineDeps,
  users: ReadonlyMap<string, User>,
  sessions: Sessions,
  clock: Clock,
  log: Logger,
): App {
  const app: App = new Hono()
  const board = createBoard(queues, log)
  addProtection(app, log)
  addLogin(app, users, sessions, new LoginThrottle(clock), log)
  // Every route below is for people who are logged in.
  addGate(app, sessions)
  app.get('/logout', async (c) => {
    // A link on another site must not log people out.
    if (!isFromHere((name) => c.req.header(name))) return c.text('Cross-site request refused', 403)
    await sessions.close(getCookie(c, COOKIE))
    deleteCookie(c, COOKIE, { path: '/' })
    log.info({ user: c.var.user.name }, 'dashboard.logout')
    return c.redirect('/login', 303)
  })
  app.get('/', (c) => c.redirect(BOARD_PATH, 303))
  app.route('/', createQuarantine(quarantine, log))
  app.route('/', createControlsPage(queues, log))
  app.all(`${BOARD_PATH}/*`, (c) => {
    const request = new Request(c.req.raw)
    request.headers.set(USER_HEADER, c.var.user.name)
    return board.fetch(request, c.env)
  })
  return app
}

function addProtection(app: App, log: Logger): void {
  app.use(headers)
  const tooLarge = (c: Context): Response =>
    c.text(`The body is too large: at most ${BODY_BYTES_MAX} bytes.`, 413)
  app.use(bodyLimit({ maxSize: BODY_BYTES_MAX, onError: tooLarge }))
  app.use(async (c, next) => {
    // The cookie is SameSite=Strict already; this also covers neighbors on other ports, and the
    // login form.
    const writes = c.req.method !== 'GET' && c.req.method !== 'HEAD'
    if (writes && !isFromHere((name) => c.req.header(name)))
      return c.text('Cross-site request refused', 403)
    await next()
    // The names of Bull Board's files carry a hash. Every other answer may hold an operator's data.
    const isFile = c.req.path.startsWith(`${BOARD_PATH}/static/`) && c.res.ok
    c.header('Cache-Control', isFile ? 'private, max-age=86400' : 'no-store')
    return undefined
  })
  app.onError((error, c) => {
    if (error instanceof UnavailableError)
      return c.text('Redis cannot be reached. Try again in a moment.', 503)
    log.error({ error }, 'dashboard.request_failed')
    return c.text('Something went wrong here. The log has the reason.', 500)
  })
}

function addLogin(
  app: App,
  users: ReadonlyMap<string, User>,
  sessions: Sessions,
  throttle: LoginThrottle,
  log: Logger,
): void {
  app.get('/login.css', (c) =>
    c.body(loginStyle, 200, { 'content-type': 'text/css; charset=utf-8' }),
  )
  app.get('/login', (c) => c.html(loginPage(localPath(c.req.query('next') ?? NEXT_DEFAULT))))
  app.post('/login', async (c) => {
    const form = loginForm.safeParse(await c.req.parseBody().catch(() => null)) // null: not a form
    if (!form.success) return c.html(loginPage(NEXT_DEFAULT, 'Give a name and a password.'), 400)
    const { name, password } = form.data
    const next = localPath(form.data.next)
    const user = users.get(name)
    const address = getConnInfo(c).remote.address ?? 'unknown'
    // Unknown names share one entry, so invented names cannot fill the throttle.
    const pair = `${address} ${user === undefined ? '?' : name}`
    const right = await throttle.check(pair, () => passwordMatches(password, user?.hash))
    if (typeof right !== 'boolean') {
      log.warn({ address }, 'dashboard.login_throttled')
      c.header('Retry-After', String(right.retryAfterSeconds))
      return c.html(loginPage(next, `Too many tries. Wait ${right.retryAfterSeconds} s.`), 429)
    }
    if (!right || user === undefined) {
      log.warn({ address }, 'dashboard.login_failed')
      return c.html(loginPage(next, 'Name or password is wrong.'), 401)
    }
    log.info({ address, user: name, role: user.role }, 'dashboard.login')
    const cookie = await sessions.open(user)
    const secure = isHttps(c)
    setCookie(c, COOKIE, cookie, {
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
      maxAge: SESSION_SECONDS,
      secure,
    })
    return c.redirect(next, 303)
  })
}

function addGate(app: App, sessions: Sessions): void {
  app.use(async (c, next) => {
    const user = await sessions.userOf(getCookie(c, COOKIE))
    if (user !== null) {
      c.set('user', user)
      return next()
    }
    const isPage = c.req.method === 'GET' && (c.req.header('accept') ?? '').includes('text/html')
    if (!isPage)
      return c.json({ error: 'UNAUTHENTICATED', message: 'Log in at /login first.' }, 401)
    const { pathname, search } = new URL(c.req.url)
    return c.redirect(
      pathname === '/' ? '/login' : `/login?next=${encodeURIComponent(pathname + search)}`,
      303,
    )
  })
}
