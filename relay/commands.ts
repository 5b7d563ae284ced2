import {
  clientEvents,
  type CommandAnswer,
  describeIssues,
  marketRoom,
  type SymbolRefusal,
  SYMBOLS_PER_SOCKET_MAX,
} from '#contract'
import type { RelaySocket } from './connection.ts'
import type { RelayContext } from './context.ts'

/** Prefix of the rooms of watched symbols; the union of these rooms over a relay is its demand. */
const MARKET = marketRoom('')

export const watchedSymbols = (rooms: Iterable<string>): string[] =>
  [...rooms].filter((room) => room.startsWith(MARKET)).map((room) => room.slice(MARKET.length))

type Command = (
  context: RelayContext,
  socket: RelaySocket,
  payload: unknown,
) => Promise<CommandAnswer>

/** The events that a client may send. A map, not an object: the names come from clients. */
const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['market.subscribe', subscribe],
  ['market.unsubscribe', unsubscribe],
  ['state.requestSync', requestSync],
])

/** The most time from a message to its answer; clients are promised two seconds. */
const ANSWER_MS_MAX = 1_500

const refusal = (error: string, message: string): CommandAnswer => ({ ok: false, error, message })
const UNKNOWN_COMMAND = refusal(
  'UNKNOWN_COMMAND',
  `Commands are ${[...commands.keys()].join(', ')}`,
)
const UNAVAILABLE = refusal(
  'UNAVAILABLE',
  'The command cannot be carried out now; try again in a few seconds',
)

/**
 * Handles the messages of clients, in order. If the client asked for an answer, it comes within
 * `ANSWER_MS_MAX`. A command that was answered with `UNAVAILABLE` before it began is not carried
 * out.
 * @param isAdmitted counts a message of any kind; `false`: the message is not carried out
 */
export const commandListener = (
  context: RelayContext,
  isAdmitted: (socket: RelaySocket) => Promise<boolean>,
) =>
  function (this: RelaySocket, event: string, ...args: unknown[]): void {
    const last = args.at(-1)
    const payload = typeof args[0] === 'function' ? undefined : args[0]
    let isAnswered = false
    const answer = (given: CommandAnswer): void => {
      if (isAnswered || typeof last !== 'function') return
      isAnswered = true
      ;(last as (answer: CommandAnswer) => void)(given)
    }
    const stopWaiting = context.clock.after(ANSWER_MS_MAX, () => answer(UNAVAILABLE))
    const carryOut = async (): Promise<void> => {
      if (!(await isAdmitted(this)) || isAnswered) return
      const command = commands.get(event)
      answer(command === undefined ? UNKNOWN_COMMAND : await command(context, this, payload))
    }
    carryOut()
      .catch((error: unknown) => {
        context.outage.failed('command.failed', error)
        answer(UNAVAILABLE)
      })
      .finally(stopWaiting)
  }

const invalid = (message: string): CommandAnswer => refusal('INVALID_PAYLOAD', message)

async function subscribe(
  context: RelayContext,
  socket: RelaySocket,
  payload: unknown,
): Promise<CommandAnswer> {
  const read = clientEvents['market.subscribe'].schema.safeParse(payload)
  return read.success
    ? watch(context, socket, read.data.symbols)
    : invalid(describeIssues(read.error))
}

/** Keeps symbols wanted for a while. */
export function announce({ demand, outage }: RelayContext, symbols: readonly string[]): void {
  demand.announce(symbols).catch((error: unknown) => outage.failed('demand.not_announced', error))
}

/**
 * Splits symbols into those that may be watched and those that are refused. If no list of the
 * broker decides on a symbol, its syntax is enough.
 */
export async function judgeSymbols({ assets }: RelayContext, symbols: readonly string[]) {
  const known = await assets.find(symbols)
  const refused = symbols.flatMap((symbol): SymbolRefusal[] => {
    const answer = known.get(symbol)
    if (answer?.kind === 'not_listed') return [{ symbol, reason: 'UNKNOWN_SYMBOL' }]
    return answer?.kind === 'listed' && !answer.asset.isTradable
      ? [{ symbol, reason: 'NOT_TRADABLE' }]
      : []
  })
  return {
    accepted: symbols.filter((symbol) => !refused.some((each) => each.symbol === symbol)),
    refused,
  }
}

/** Watches symbols, and sends the last quote of each. */
async function watch(
  context: RelayContext,
  socket: RelaySocket,
  symbols: readonly string[],
): Promise<CommandAnswer> {
  const { accepted, refused } = await judgeSymbols(context, [...new Set(symbols)])
  const before = watchedSymbols(socket.rooms)
  const added = accepted.filter((symbol) => !before.includes(symbol))
  if (before.length + added.length > SYMBOLS_PER_SOCKET_MAX)
    return refusal(
      'TOO_MANY_SYMBOLS',
      `At most ${SYMBOLS_PER_SOCKET_MAX} symbols; unsubscribe from some first`,
    )
  await follow(context, socket, added)
  return { ok: true, symbols: watchedSymbols(socket.rooms), subscribed: accepted, refused }
}

/** Joins the rooms of symbols, and sends the last quote of each. */
export async function follow(
  context: RelayContext,
  socket: RelaySocket,
  symbols: readonly string[],
): Promise<void> {
  await socket.join(symbols.map(marketRoom))
  announce(context, symbols)
  for (const quote of await context.quotes.last(symbols)) socket.emit('market.quote', quote)
}

async function unsubscribe(
  _context: RelayContext,
  socket: RelaySocket,
  payload: unknown,
): Promise<CommandAnswer> {
  const read = clientEvents['market.unsubscribe'].schema.safeParse(payload)
  if (!read.success) return invalid(describeIssues(read.error))
  for (const symbol of read.data.symbols) await socket.leave(marketRoom(symbol))
  return { ok: true, symbols: watchedSymbols(socket.rooms) }
}

async function requestSync(
  _context: RelayContext,
  socket: RelaySocket,
  payload: unknown,
): Promise<CommandAnswer> {
  const read = clientEvents['state.requestSync'].schema.safeParse(payload)
  if (!read.success) return invalid(describeIssues(read.error))
  switch (await socket.data.stream?.sync(read.data.syncTypes)) {
    case 'busy':
      return refusal('TOO_MANY_REQUESTS', 'Wait for the state.sync that is on its way')
    case 'owed': {
      const message =
        'The broker account has not been read yet; state.sync follows by itself once it is'
      return refusal('STATE_UNAVAILABLE', message)
    }
    case 'sent':
    case undefined:
      return { ok: true }
  }
}
