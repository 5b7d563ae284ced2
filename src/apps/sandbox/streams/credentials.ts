import type { IncomingHttpHeaders } from 'node:http'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'

/** The key and the account that opened a stream. */
export type Caller = Readonly<{ keyId: string; account: Account }>

/** The credentials of a client: a key with its secret, or an OAuth token. */
export type Credentials = Readonly<{ keyId: string; secret: string } | { token: string }>

/** The key id with which data streams take a token in place of the secret. */
const OAUTH_KEY = 'oauth'

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const pair = (keyId: string, secret: string): Credentials =>
  keyId === OAUTH_KEY ? { token: secret } : { keyId, secret }

/** Every documented form: keys or token beside the action, or inside `data`. */
export function credentialsOfMessage(message: Readonly<Record<string, unknown>>): Credentials {
  const data = isObject(message['data']) ? message['data'] : message
  const token = textOf(data['oauth_token'])
  if (token !== '') return { token }
  return pair(textOf(data['key_id'] ?? data['key']), textOf(data['secret_key'] ?? data['secret']))
}

/** The REST headers of an upgrade; undefined if the upgrade has none. */
export function credentialsOfHeaders(headers: IncomingHttpHeaders): Credentials | undefined {
  const bearer = /^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return { token: bearer.trim() }
  const keyId = headers['apca-api-key-id']
  return typeof keyId === 'string' ? pair(keyId, textOf(headers['apca-api-secret-key'])) : undefined
}

/** Undefined for wrong, unknown and revoked credentials alike. */
export function callerOf(broker: Broker, credentials: Credentials): Caller | undefined {
  const [keyId, secret] =
    'token' in credentials
      ? broker.keysOfToken(credentials.token)
      : [credentials.keyId, credentials.secret]
  const account = broker.authenticate(keyId, secret)
  return account === undefined ? undefined : { keyId, account }
}
