import { z } from 'zod'
import { doorProblems } from '#contract'
import { type AssetAnswer, canonicalSymbol, type OrderIntent } from '#domain'
import {
  type AssetReader,
  BROKER_ENVIRONMENTS,
  type ConnectionRef,
  type Connections,
  type Reader,
} from '#store'
import { InvalidRequestError } from './errors.ts'
import { available } from './request.ts'

/** What the broker's list of assets says at the door, before anything is queued. */
export interface Door {
  /**
   * Whether there may be something of the symbol to sell: a position, an order that is open or
   * under way, or an account of which nothing is known yet. Asked only where the answer can make a
   * difference.
   * @throws {UnavailableError}
   */
  holdsSome(ref: ConnectionRef, symbol: string): Promise<boolean>
  /**
   * Looks up the symbol of a request in the list of the connection's environment, in one turn; in
   * every list, while the connection is not known.
   * @throws {UnavailableError}
   */
  find(ref: ConnectionRef, symbol: string): Promise<AssetAnswer>
}

export const createDoor = (
  assets: AssetReader,
  connections: Pick<Connections, 'get'>,
  reader: Pick<Reader, 'snapshot'>,
): Door => ({
  async holdsSome({ userId, connectionId }, symbol) {
    const { accounts, positions, orders } = await available(reader.snapshot(userId))
    const isHere = (one: Readonly<{ connectionId: string; symbol: string }>): boolean =>
      one.connectionId === connectionId && one.symbol === symbol
    const isKnown = accounts.some((account) => account.connectionId === connectionId)
    return !isKnown || positions.some(isHere) || orders.some(isHere)
  },

  async find(ref, symbol) {
    const lists = BROKER_ENVIRONMENTS.map(
      async (env) => [env, (await assets.find([symbol], env)).get(symbol)] as const,
    )
    const [connection, anywhere, ...answers] = await available(
      Promise.all([connections.get(ref), assets.find([symbol]), ...lists]),
    )
    const own = answers.find(([env]) => env === connection?.env)?.[1]
    return own ?? anywhere.get(symbol) ?? { kind: 'unknown' }
  },
})

/**
 * A pair without its slash has a canonical symbol only where the broker's list says so: while there
 * is no list, it is refused.
 * @param written the symbol as the caller wrote it, anything at all
 * @throws {InvalidRequestError}
 */
export function assertNamed(written: unknown, symbol: string, answer: AssetAnswer): void {
  if (written === symbol || answer.kind === 'listed') return
  refuse([['symbol', `write the pair with its slash, like ${canonicalSymbol(symbol)}`]])
}

/**
 * What can be said against a new order by the broker's list, and by the time. A repeat is not asked
 * about again.
 * @throws {InvalidRequestError} naming each field to mend
 * @throws {UnavailableError}
 */
export async function assertOrderable(
  door: Door,
  intent: OrderIntent,
  answer: AssetAnswer,
  nowMs: number,
): Promise<void> {
  const mayBeShort = intent.side === 'sell' && answer.kind === 'listed' && !answer.asset.isShortable
  const holdsSome = !mayBeShort || (await door.holdsSome(intent, intent.symbol))
  refuse(doorProblems(intent, answer, { nowMs, holdsSome }))
}

/** @throws {InvalidRequestError} when there is any problem */
function refuse(problems: readonly (readonly [field: string, message: string])[]): void {
  if (problems.length === 0) return
  throw new InvalidRequestError(
    new z.ZodError(
      problems.map(([field, message]) => ({
        code: 'custom',
        path: field.split('.'),
        message,
        input: undefined,
      })),
    ),
  )
}
