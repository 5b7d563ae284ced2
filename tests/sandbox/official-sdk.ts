import { Alpaca } from '@alpacahq/alpaca-trade-api'
import type { Sandbox } from '#sandbox'

/** The official SDK, unchanged, pointed at a sandbox the way its documentation allows. */
export const officialSdk = (
  sandbox: Sandbox,
  { timeoutMs = 5_000, ...retry }: Readonly<{ timeoutMs?: number; retry?: false }> = { retry: false },
): Alpaca =>
  new Alpaca({
    keyId: 'demo-key',
    secret: 'demo-secret',
    paper: true,
    rateLimit: false,
    ...retry,
    timeoutMs,
    fetchApi: (url, init) => {
      const { pathname, search } = new URL(url)
      return fetch(sandbox.url + pathname + search, init)
    },
  })
