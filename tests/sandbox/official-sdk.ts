import { Alpaca } from '@alpacahq/alpaca-trade-api'
import type { Sandbox } from '#sandbox'

/** The official SDK, unchanged, pointed at a sandbox the way its documentation allows. */
export const officialSdk = (
  sandbox: Sandbox,
  { timeoutMs = 5_000, ...retry }: Readonly<{ timeoutMs?: number; retry?: false }> = {
    retry: false,
  },
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

/** A trade update as the SDK hands it over: mapped fields, and the wire's own beside them. */
export type SdkUpdate = Record<string, unknown> & { event: string; order: Record<string, unknown> }

/** A listening trade stream of the SDK, and everything it has handed over so far. */
export async function sdkTradeStream(
  sandbox: Sandbox,
): Promise<{ updates: SdkUpdate[]; disconnect(): void }> {
  const updates: SdkUpdate[] = []
  const stream = officialSdk(sandbox).trading.stream({ url: `${sandbox.wsUrl}/stream` })
  const listening = new Promise<void>((resolve) => stream.on('subscription', () => resolve()))
  stream.onTradeUpdate((update) => void updates.push(update))
  stream.subscribeTradeUpdates()
  stream.connect()
  await listening
  return { updates, disconnect: () => stream.disconnect() }
}
