import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { Hono } from 'hono'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** The symbols that the page may watch. */
const SYMBOLS = ['AAPL', 'MSFT', 'TSLA', 'NVDA', 'AMZN', 'SPY'] as const

/**
 * The web page: the files of `public`, Socket.IO's own browser build, and the addresses of the
 * services. The files are listed once at the start, so the path of a request never selects a file.
 */
export async function createPage(
  urls: Readonly<Record<'relayUrl' | 'dashboardUrl', string>>,
): Promise<Hono> {
  const app = new Hono()
  const folder = join(import.meta.dirname, 'public')
  const client = dirname(createRequire(import.meta.url).resolve('socket.io-client/package.json'))
  const files = (await readdir(folder)).map((name) => [
    name === 'index.html' ? '/' : `/${name}`,
    join(folder, name),
  ])
  for (const [path = '', file = ''] of [
    ...files,
    ['/socket.io.js', join(client, 'dist/socket.io.min.js')],
  ]) {
    const type = TYPES[extname(file)] ?? 'application/octet-stream'
    app.get(path, async (c) =>
      c.body(await readFile(file), 200, { 'content-type': type, 'cache-control': 'no-cache' }),
    )
  }
  app.get('/config.json', (c) => c.json({ ...urls, symbols: SYMBOLS }))
  return app
}
