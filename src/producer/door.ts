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

/** Reads for the checks that the producer makes before it queues a request. */
export interface Door {
  /**
   * Reports if the account may hold some of the symbol to sell: the account has a position or an
   * open order, or the account is not known yet. Called only where the answer can change the
   * result.
   * @throws {UnavailableError}
   */
  holdsSome(ref: ConnectionRef, symbol: string): Promise<boolean>
  /**
   * Looks up the symbol of a request in the asset list of the connection's environment, in one
   * round trip. If the connection is not known, the lists of all environments are searched.
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
 * A pair without its slash has a canonical symbol only if the broker's asset list contains it.
 * Without a list the request is refused.
 * @param written the symbol as the caller wrote it, of any type
 * @throws {InvalidRequestError}
 */
export function assertNamed(written: unknown, symbol: string, answer: AssetAnswer): void {
  if (written === symbol || answer.kind === 'listed') return
  refuse([['symbol', `write the pair with its slash, like ${canonicalSymbol(symbol)}`]])
}

/**
 * Refuses a new order that the broker's asset list, or the time, rules out. A repeated order is not
 * checked again.
 * @throws {InvalidRequestError} naming each field to fix
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
