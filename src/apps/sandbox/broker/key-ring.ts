import { createRandomness } from '../randomness.ts'
import type { Stamps } from '../stamps.ts'
import { type Account, newAccount } from './account.ts'
import { decimal } from './decimals.ts'

/**
 * The keys of each account. An account may have several keys over time. A revoked key keeps its
 * account, and the account's other keys still work.
 */
export interface KeyRing {
  /** @throws {RangeError} the key or token is in use, or there are too many accounts */
  addAccount(seed: AccountSeed): Account
  accounts(): readonly Account[]
  keyIds(): readonly string[]
  /** The account of valid keys. Undefined for wrong, unknown and revoked keys alike. */
  authenticate(keyId: string, secret: string): Account | undefined
  /** The account of a key, also of a revoked key. */
  accountOfKey(keyId: string): Account | undefined
  /** The keys that an OAuth token represents; empty keys if the token is unknown. */
  keysOfToken(token: string): readonly [keyId: string, secret: string]
  setRevoked(keyId: string, revoked: boolean): void
  onRevoked(listener: (keyId: string) => void): void
}

/** An account to open. */
type AccountSeed = Readonly<{
  keyId: string
  secret: string
  /** USD, decimal string. Default 100000. */
  cash?: string
  /** Buying power per equity; 1 is a cash account without shorting. Default 2. */
  multiplier?: 1 | 2 | 4
  /** Opens the account like its keys. Default: none. */
  oauthToken?: string
}>

const ACCOUNTS_MAX = 10_000

export function createKeyRing(stamps: Stamps): KeyRing {
  const keys = new Map<
    string,
    { readonly secret: string; readonly account: Account; revoked: boolean }
  >()
  const keysByToken = new Map<string, readonly [keyId: string, secret: string]>()
  const revokedListeners: ((keyId: string) => void)[] = []
  return {
    addAccount({ keyId, secret, cash = '100000', multiplier = 2, oauthToken }) {
      if (keys.has(keyId)) throw new RangeError(`key ${keyId} is taken`)
      if (oauthToken !== undefined && keysByToken.has(oauthToken)) {
        throw new RangeError(`the token of key ${keyId} is taken`)
      }
      if (keys.size >= ACCOUNTS_MAX) throw new RangeError(`at most ${ACCOUNTS_MAX} accounts`)
      // The account id depends on the key alone: after a restart without a seed the sandbox is the
      // same broker with the same accounts.
      const id = createRandomness(`account ${keyId}`).uuid()
      const number = `PA3${id.replaceAll('-', '').slice(0, 8).toUpperCase()}`
      const account = newAccount({
        id,
        number,
        createdAt: stamps.next(),
        cash: decimal(cash),
        multiplier,
      })
      keys.set(keyId, { secret, account, revoked: false })
      if (oauthToken !== undefined) keysByToken.set(oauthToken, [keyId, secret])
      return account
    },
    accounts: () => [...new Set([...keys.values()].map(({ account }) => account))],
    keyIds: () => [...keys.keys()],
    authenticate(keyId, secret) {
      const key = keys.get(keyId)
      return key !== undefined && !key.revoked && key.secret === secret ? key.account : undefined
    },
    accountOfKey: (keyId) => keys.get(keyId)?.account,
    keysOfToken: (token) => keysByToken.get(token) ?? ['', ''],
    setRevoked(keyId, revoked) {
      const key = keys.get(keyId)
      if (key === undefined || key.revoked === revoked) return
      key.revoked = revoked
      if (revoked) revokedListeners.forEach((listener) => listener(keyId))
    },
    onRevoked: (listener) => void revokedListeners.push(listener),
  }
}
