import { html } from 'hono/html'
import type { User } from './users.ts'

/** A page of the dashboard. It has no script and loads nothing from another host. */
export const page = (title: string, stylesheet: string, body: ReturnType<typeof html>) =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <link rel="stylesheet" href="${stylesheet}" />
      </head>
      <body>
        ${body}
      </body>
    </html>`

const places = [
  ['/queues', 'Queues'],
  ['/controls', 'Controls'],
  ['/quarantine', 'Quarantine'],
] as const

/** The links on top of each dashboard page. `here` is the path of the page. */
export const nav = (here: string, user: User) =>
  html`<nav>
    <b>Fillcast</b>
    ${places.map(([path, text]) =>
      path === here
        ? html`<a href="${path}" aria-current="page">${text}</a>`
        : html`<a href="${path}">${text}</a>`,
    )}
    <span>${user.name}, ${user.role}</span> <a href="/logout">Log out</a>
  </nav>`

/** The colors of the dashboard pages, as the head of a style sheet. */
export const palette = `:root { color-scheme: light dark; --ink: light-dark(#16202c, #e6ebf1); --dim: light-dark(#5b6775, #93a0b0);
  --page: light-dark(#f4f5f7, #10151c); --card: light-dark(#fff, #19212b); --line: light-dark(#d5dae1, #2f3a47);
  --accent: light-dark(#0b6e5a, #34c3a0); --on-accent: light-dark(#fff, #06231c); --bad: light-dark(#b3261e, #ff8a80); }
`
