import { clientEvents, type CommandAnswer, describeIssues, marketRoom, SYMBOLS_PER_SOCKET_MAX } from '#contract'
import type { Quotes } from '#store'
import type { RelaySocket } from './connection.ts'

/** Rooms of watched symbols start like this; the union over a relay is its demand. */
const MARKET = marketRoom('')

export const watchedSymbols = (rooms: Iterable<string>): string[] =>
  [...rooms].filter((room) => room.startsWith(MARKET)).map((room) => room.slice(MARKET.length))

export type CommandDeps = Readonly<{
  quotes: Quotes
  /** A symbol is watched that was not before. */
  onWatched(symbols: readonly string[]): void
}>

type Command = (deps: CommandDeps, socket: RelaySocket, payload: unknown) => Promise<CommandAnswer>

/** The events that a client may send. A map, not an object: names come from outside. */
const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['market.subscribe', subscribe],
  ['market.unsubscribe', unsubscribe],
  ['state.requestSync', requestSync],
])

/** Handles whatever a client sends. Unknown events are ignored; bad payloads are answered where an answer was asked for. */
export function answerCommands(deps: CommandDeps, socket: RelaySocket, onError: (error: unknown) => void): void {
  socket.onAny((event: string, ...args: unknown[]) => {
    const command = commands.get(event)
    if (command === undefined) return
    const last = args.at(-1)
    const answer = typeof last === 'function' ? (last as (answer: CommandAnswer) => void) : () => {}
    command(deps, socket, typeof args[0] === 'function' ? undefined : args[0]).then(answer, (error: unknown) => {
      onError(error)
      answer({ ok: false, error: 'INTERNAL_ERROR', message: 'The command failed; try again later' })
    })
  })
}

const invalid = (message: string): CommandAnswer => ({ ok: false, error: 'INVALID_PAYLOAD', message })

async function subscribe(
  { quotes, onWatched }: CommandDeps,
  socket: RelaySocket,
  payload: unknown,
): Promise<CommandAnswer> {
  const read = clientEvents['market.subscribe'].schema.safeParse(payload)
  if (!read.success) return invalid(describeIssues(read.error))
  const before = watchedSymbols(socket.rooms)
  const added = [...new Set(read.data.symbols)].filter((symbol) => !before.includes(symbol))
  if (before.length + added.length > SYMBOLS_PER_SOCKET_MAX) {
    return {
      ok: false,
      error: 'TOO_MANY_SYMBOLS',
      message: `At most ${SYMBOLS_PER_SOCKET_MAX} symbols; unsubscribe from some first`,
    }
  }
  await socket.join(added.map(marketRoom))
  onWatched(added)
  for (const quote of await quotes.last(added)) socket.emit('market.quote', quote)
  return { ok: true, symbols: watchedSymbols(socket.rooms) }
}

async function unsubscribe(_deps: CommandDeps, socket: RelaySocket, payload: unknown): Promise<CommandAnswer> {
  const read = clientEvents['market.unsubscribe'].schema.safeParse(payload)
  if (!read.success) return invalid(describeIssues(read.error))
  for (const symbol of read.data.symbols) await socket.leave(marketRoom(symbol))
  return { ok: true, symbols: watchedSymbols(socket.rooms) }
}

async function requestSync(_deps: CommandDeps, socket: RelaySocket, payload: unknown): Promise<CommandAnswer> {
  const read = clientEvents['state.requestSync'].schema.safeParse(payload)
  if (!read.success) return invalid(describeIssues(read.error))
  const isSent = await socket.data.stream?.sync(read.data.syncTypes)
  if (isSent === false)
    return { ok: false, error: 'TOO_MANY_REQUESTS', message: 'Wait for the state.sync that is on its way' }
  return { ok: true }
}
