import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { ConfigError } from '#runtime'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import type { RateLimits } from '../http/rate-limits.ts'

/** The description of an account, for control calls and for the accounts file. */

const money = z.string().regex(/^\d{1,15}(\.\d{1,9})?$/, 'a decimal string')

export const flagsShape = z.strictObject({
  status: z.string().min(1).max(32).exactOptional(),
  tradingBlocked: z.boolean().exactOptional(),
  accountBlocked: z.boolean().exactOptional(),
  tradeSuspendedByUser: z.boolean().exactOptional(),
  shortingEnabled: z.boolean().exactOptional(),
  fractionalTrading: z.boolean().exactOptional(),
})

export const rateLimitShape = z.strictObject({
  perMinute: z.int().min(0).max(1_000_000),
  headers: z.union([z.boolean(), z.literal('until_over')]).exactOptional(),
})

export const accountShape = z.strictObject({
  keyId: z.string().min(1).max(128),
  secret: z.string().min(1).max(256),
  /** Bearer token that opens the account like its keys. */
  oauthToken: z.string().min(1).max(256).exactOptional(),
  cash: money.exactOptional(),
  multiplier: z.literal([1, 2, 4]).exactOptional(),
  flags: flagsShape.exactOptional(),
  rateLimit: rateLimitShape.exactOptional(),
})
export type AccountSetup = z.output<typeof accountShape>

/** @throws {RangeError} the key is in use, or there are too many accounts */
export function openAccount(broker: Broker, rateLimits: RateLimits, setup: AccountSetup): Account {
  const { flags = {}, rateLimit, ...seed } = setup
  const account = broker.addAccount(seed)
  Object.assign(account.flags, flags)
  if (rateLimit !== undefined) rateLimits.set(account, rateLimit)
  return account
}

/**
 * Reads accounts from a JSON file: an array of bodies of `POST /_sandbox/accounts`.
 * @throws {ConfigError} naming the file and its error
 */
export function readAccountsFile(path: string): AccountSetup[] {
  try {
    const parsed = z.array(accountShape).safeParse(JSON.parse(readFileSync(path, 'utf8')))
    if (parsed.success) return parsed.data
    throw new Error(z.prettifyError(parsed.error))
  } catch (error) {
    throw new ConfigError(
      `--accounts ${path}: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}
