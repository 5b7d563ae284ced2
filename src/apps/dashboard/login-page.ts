import { html } from 'hono/html'
import { page, palette } from './page.ts'

/** The only page that a person without a login gets. */
export const loginPage = (next: string, problem?: string) =>
  page(
    'Fillcast operators',
    '/login.css',
    html`<main>
      <h1>Fillcast</h1>
      <p>Queues, for operators.</p>
      <form method="post" action="/login">
        <input type="hidden" name="next" value="${next}" />
        <label
          >Name<input name="name" autocomplete="username" autocapitalize="none" required autofocus
        /></label>
        <label
          >Password<input name="password" type="password" autocomplete="current-password" required
        /></label>
        ${problem === undefined ? '' : html`<p role="alert">${problem}</p>`}
        <button>Log in</button>
      </form>
    </main>`,
  )

export const loginStyle = `
${palette}* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
main { width: min(22rem, 100%); padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0; font-size: 1.4rem; letter-spacing: -.01em }
p { margin: .2rem 0 1.4rem; color: var(--dim) }
p[role=alert] { margin: 0 0 1rem; color: var(--bad) }
label { display: block; margin-bottom: 1rem; font-size: .875rem; color: var(--dim) }
input { display: block; width: 100%; margin-top: .3rem; padding: .55rem .7rem; font: inherit; color: var(--ink); background: var(--page);
  border: 1px solid var(--line); border-radius: .4rem }
button { width: 100%; padding: .6rem; font: inherit; font-weight: 600; color: var(--on-accent); background: var(--accent); border: 0;
  border-radius: .4rem; cursor: pointer }
:is(input, button):focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
`
