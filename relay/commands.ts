import { clientEvents, type CommandAnswer, describeIssues, marketRoom, SYMBOLS_PER_SOCKET_MAX } from '#contract'
import type { RelaySocket } from './connection.ts'
import type { RelayContext } from './context.ts'

/** Rooms of watched symbols start like this; the union over a relay is its demand. */
const MARKET = marketRoom('')

export const watchedSymbols = (rooms: Iterable<string>): string[] =>
  [...rooms].filter((room) => room.startsWith(MARKET)).map((room) => room.slice(MARKET.length))

type Command = (context: RelayContext, socket: RelaySocket, payload: unknown) => Promise<CommandAnswer>

/** The events that a client may send. A map, not an object: names come from outside. */
const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['market.subscribe', subscribe],
  ['market.unsubscribe', unsubscribe],
  ['state.requestSync', requestSync],
])

/**
 * Handles whatever clients send, in order. Unknown events are ignored; bad payloads are answered where an answer was asked for.
 * @param isAdmitted counts a message, whatever it is; `false`: it is not carried out
 */
export const commandListener = (context: RelayContext, isAdmitted: (socket: RelaySocket) => Promise<boolean>) =>
  function (this: RelaySocket, event: string, ...args: unknown[]): void {
    const last = args.at(-1)
    const answer = typeof last === 'function' ? (last as (answer: CommandAnswer) => void) : () => {}
    const payload = typeof args[0] === 'function' ? undefined : args[0]
    const carryOut = async (): Promise<void> => {
      const command = (await isAdmitted(this)) ? commands.get(event) : undefined
      if (command !== undefined) answer(await command(context, this, payload))
    }
    carryOut().catch((error: unknown) => {
      context.log.warn({ error }, 'command.failed')
      answer({ ok: false, error: 'INTERNAL_ERROR', message: 'The command failed; try again later' })
    })
  }

const invalid = (message: string): CommandAnswer => ({ ok: false, error: 'INVALID_PAYLOAD', message })

async function subscribe(context: RelayContext, socket: RelaySocket, payload: unknown): Promise<CommandAnswer> {
  const read = clientEvents['market.subscribe'].schema.safeParse(payload)
  return read.success ? watch(context, socket, read.data.symbols) : invalid(describeIssues(read.error))
}

/** Keeps symbols wanted for a while. */
export function announce({ demand, log }: RelayContext, symbols: readonly string[]): void {
  demand.announce(symbols).catch((error: unknown) => log.warn({ error }, 'demand.not_announced'))
}

/** Watches symbols, and sends the last quote of each. */
export async function watch(
  context: RelayContext,
  socket: RelaySocket,
  symbols: readonly string[],
): Promise<CommandAnswer> {
  const before = watchedSymbols(socket.rooms)
  const added = [...new Set(symbols)].filter((symbol) => !before.includes(symbol))
  if (before.length + added.length > SYMBOLS_PER_SOCKET_MAX) {
    const message = `At most ${SYMBOLS_PER_SOCKET_MAX} symbols; unsubscribe from some first`
    return { ok: false, error: 'TOO_MANY_SYMBOLS', message }
  }
  await socket.join(added.map(marketRoom))
  announce(context, added)
  for (const quote of await context.quotes.last(added)) socket.emit('market.quote', quote)
  return { ok: true, symbols: watchedSymbols(socket.rooms) }
}

async function unsubscribe(_context: RelayContext, socket: RelaySocket, payload: unknown): Promise<CommandAnswer> {
  const read = clientEvents['market.unsubscribe'].schema.safeParse(payload)
  if (!read.success) return invalid(describeIssues(read.error))
  for (const symbol of read.data.symbols) await socket.leave(marketRoom(symbol))
  return { ok: true, symbols: watchedSymbols(socket.rooms) }
}

async function requestSync(_context: RelayContext, socket: RelaySocket, payload: unknown): Promise<CommandAnswer> {
  const read = clientEvents['state.requestSync'].schema.safeParse(payload)
  if (!read.success) return invalid(describeIssues(read.error))
  switch (await socket.data.stream?.sync(read.data.syncTypes)) {
    case 'busy':
      return { ok: false, error: 'TOO_MANY_REQUESTS', message: 'Wait for the state.sync that is on its way' }
    case 'owed': {
      const message = 'The broker account has not been read yet; state.sync follows by itself once it is'
      return { ok: false, error: 'STATE_UNAVAILABLE', message }
    }
    case 'sent':
    case undefined:
      return { ok: true }
  }
}
