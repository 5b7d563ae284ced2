import {
  deviceIdSchema,
  isEventId,
  type ServerEventPayload,
  type SymbolRefusal,
  SYMBOLS_PER_SOCKET_MAX,
  symbolSchema,
} from '#contract'

/** A part of a greeting that was left out, and why. */
export type Warning = NonNullable<ServerEventPayload<'connection.authorized'>['warnings']>[number]

/**
 * What a client says in its handshake besides its token (`auth`). Nothing in it can cost the client
 * its connection: a part that does not fit is left out with a warning. Fields that are not known
 * are ignored.
 */
export type Greeting = Readonly<{
  deviceId?: string
  /** Symbols to watch from the start. */
  symbols: readonly string[]
  /** The client asked for event ids: `auth` has the key `lastEventId`. */
  wantsMeta: boolean
  lastEventId: unknown
  /** At most one of each field, and one of each symbol. */
  warnings: Warning[]
}>

/** Of a symbol that fits and cannot be watched. */
export const warningOf = ({ symbol, reason }: SymbolRefusal): Warning => ({
  field: 'symbols',
  message: `${symbol}: ${reason}`,
})

const DEVICE = 'write 1 to 128 of A-Z a-z 0-9 _ . : @ | -, or leave it out'
const SYMBOLS = `write a list of 1 to ${SYMBOLS_PER_SOCKET_MAX} symbols like AAPL, BRK.B or BTC/USD, or leave it out`
const LAST_EVENT =
  'not an event id: send the last id you saw, or "" the first time; the whole state follows'

/** @param auth the handshake's `auth` */
export function readGreeting(auth: Readonly<Record<string, unknown>>): Greeting {
  const { deviceId, lastEventId } = auth
  const device = deviceIdSchema.optional().safeParse(deviceId)
  const { symbols, warnings } = readSymbols(auth['symbols'])
  const isPlace = lastEventId === undefined || lastEventId === '' || isEventId(lastEventId)
  return {
    ...(device.data === undefined ? {} : { deviceId: device.data }),
    symbols,
    wantsMeta: 'lastEventId' in auth,
    lastEventId,
    warnings: [
      ...(device.success ? [] : [{ field: 'deviceId', message: DEVICE }]),
      ...warnings,
      ...(isPlace ? [] : [{ field: 'lastEventId', message: LAST_EVENT }]),
    ],
  }
}

function readSymbols(given: unknown): Pick<Greeting, 'symbols' | 'warnings'> {
  if (given === undefined) return { symbols: [], warnings: [] }
  if (!Array.isArray(given) || given.length === 0 || given.length > SYMBOLS_PER_SOCKET_MAX)
    return { symbols: [], warnings: [{ field: 'symbols', message: SYMBOLS }] }
  const read = given.map((symbol) => symbolSchema.safeParse(symbol))
  return {
    symbols: read.flatMap(({ data }) => data ?? []),
    warnings: read.flatMap(({ error }, index) =>
      error === undefined
        ? []
        : [{ field: `symbols.${index}`, message: error.issues[0]?.message ?? SYMBOLS }],
    ),
  }
}
