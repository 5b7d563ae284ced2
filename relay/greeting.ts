import {
  deviceIdSchema,
  isEventId,
  type ServerEventPayload,
  type SymbolRefusal,
  SYMBOLS_PER_SOCKET_MAX,
  symbolSchema,
} from '#contract'

/** A part of a greeting that was left out, and the reason. */
export type Warning = NonNullable<ServerEventPayload<'connection.authorized'>['warnings']>[number]

/**
 * The fields that a client sends in its handshake besides its token (`auth`). No field can cost the
 * client its connection: a field that does not fit is left out with a warning, and unknown fields
 * are ignored.
 */
export type Greeting = Readonly<{
  deviceId?: string
  /** Symbols to watch from the start. */
  symbols: readonly string[]
  /** The client asked for event ids: `auth` has the key `lastEventId`. */
  wantsMeta: boolean
  lastEventId: unknown
  /** At most one warning of each field, and one of each symbol. */
  warnings: Warning[]
}>

/** The warning of a symbol whose syntax is right, but which cannot be watched. */
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
