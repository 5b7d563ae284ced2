import { compactDecrypt, CompactEncrypt } from 'jose'
import { FillcastError } from '#runtime'

/** A key of the vault: 32 random bytes and the name under which sealed records refer to it. */
export type VaultKey = Readonly<{ kid: string; key: Uint8Array }>

/** The credentials of a login at the broker: a key pair, or an OAuth access token. */
export type BrokerCredentials =
  Readonly<{ keyId: string; secretKey: string }> | Readonly<{ accessToken: string }>

/**
 * Sealed credentials cannot be opened here: their key is unknown, they belong to another
 * connection, or they were changed. The text never holds the credentials.
 */
export class VaultError extends FillcastError<'VAULT_CANNOT_OPEN'> {
  constructor(why: string, options?: ErrorOptions) {
    super('VAULT_CANNOT_OPEN', `broker credentials cannot be opened: ${why}`, options)
  }
}

/**
 * Seals and opens credentials (compact JWE, `dir` + A256GCM). A sealed text is bound to its
 * connection and opens nowhere else.
 */
export interface Vault {
  seal(connection: ConnectionRef, credentials: BrokerCredentials): Promise<string>
  /**
   * `stale`: sealed with an older key; seal the credentials again when convenient. @throws
   * {VaultError}
   */
  open(
    connection: ConnectionRef,
    sealed: string,
  ): Promise<{ credentials: BrokerCredentials; stale: boolean }>
}

export type ConnectionRef = Readonly<{ userId: string; connectionId: string }>

const contextOf = ({ userId, connectionId }: ConnectionRef): string =>
  `connection:${userId}:${connectionId}`

/** @param keys the first key seals, all keys open */
export function createVault(keys: readonly VaultKey[]): Vault {
  const [active] = keys
  if (active === undefined) throw new VaultError('there is no key in VAULT_KEYS')
  const ring = new Map(keys.map(({ kid, key }) => [kid, key]))
  return {
    seal: (connection, credentials) =>
      new CompactEncrypt(new TextEncoder().encode(JSON.stringify(credentials)))
        .setProtectedHeader({
          alg: 'dir',
          enc: 'A256GCM',
          kid: active.kid,
          ctx: contextOf(connection),
        })
        .encrypt(active.key),

    async open(connection, sealed) {
      const opened = await compactDecrypt(
        sealed,
        ({ kid }) => {
          const key = ring.get(kid ?? '')
          if (key === undefined) throw new VaultError('its key is not in VAULT_KEYS')
          return key
        },
        { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] },
      ).catch((error: unknown) => {
        throw error instanceof VaultError
          ? error
          : new VaultError('it was changed or sealed with another key')
      })
      if (opened.protectedHeader['ctx'] !== contextOf(connection))
        throw new VaultError('it belongs to another connection')
      const credentials = JSON.parse(
        new TextDecoder().decode(opened.plaintext),
      ) as BrokerCredentials
      return { credentials, stale: opened.protectedHeader.kid !== active.kid }
    },
  }
}
