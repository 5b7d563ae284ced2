import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Tally } from './tally.ts'

/** One authenticated trade stream for each account, all telling one tally. */
export type BenchAccount = Readonly<{ keyId: string; secret: string }>

/** Streams that are opened at the same time. */
const OPENING_MAX = 50
const STEP_MS_MAX = 20_000

type Frame = Readonly<{
  stream: string
  data: Readonly<{ status?: string; event?: string; order?: Readonly<{ client_order_id: string }> }>
}>

const frameOf = (data: WebSocket.RawData): Frame =>
  JSON.parse((data as Buffer).toString('utf8')) as Frame

/**
 * The answer to a message, before there is anything else to hear. @throws {Error} none came in time
 */
async function ask(socket: WebSocket, message: unknown): Promise<Frame> {
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(STEP_MS_MAX) })
  socket.send(JSON.stringify(message))
  const [data] = (await answer) as [WebSocket.RawData]
  return frameOf(data)
}

async function listen(url: string, { keyId, secret }: BenchAccount): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/stream`, { perMessageDeflate: false })
  await once(socket, 'open', { signal: AbortSignal.timeout(STEP_MS_MAX) })
  // A stream that breaks later shows as lost events.
  socket.on('error', () => {})
  const login = await ask(socket, {
    action: 'authenticate',
    data: { key_id: keyId, secret_key: secret },
  })
  if (login.data.status !== 'authorized')
    throw new Error(`${keyId} was not let into the trade stream`)
  const listening = await ask(socket, { action: 'listen', data: { streams: ['trade_updates'] } })
  if (listening.stream !== 'listening') throw new Error(`${keyId} cannot listen to its trades`)
  return socket
}

/** Opens a stream for every account. @throws {Error} one of them was refused or took too long */
export async function openListeners(
  url: string,
  accounts: readonly BenchAccount[],
  tally: Tally,
): Promise<readonly WebSocket[]> {
  const sockets: WebSocket[] = []
  while (sockets.length < accounts.length) {
    const batch = accounts.slice(sockets.length, sockets.length + OPENING_MAX)
    sockets.push(...(await Promise.all(batch.map((account) => listen(url, account)))))
  }
  sockets.forEach((socket, account) =>
    socket.on('message', (data) => {
      const { event = '', order } = frameOf(data).data
      tally.heard(account, event, order?.client_order_id ?? '', performance.now())
    }),
  )
  return sockets
}

/**
 * Resolves when every open stream has received its pending frames: frames come in order, and the
 * pong comes behind them.
 */
export async function drain(sockets: readonly WebSocket[]): Promise<void> {
  const open = sockets.filter(({ readyState }) => readyState === WebSocket.OPEN)
  await Promise.allSettled(
    open.map(async (socket) => {
      const pong = once(socket, 'pong', { signal: AbortSignal.timeout(STEP_MS_MAX) })
      socket.ping()
      await pong
    }),
  )
}
