import type { IncomingMessage } from 'node:http'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'

/** Who sends a request. */
export type Caller = Readonly<{ keyId: string; account: Account }>

const header = (request: IncomingMessage, name: string): string => {
  const value = request.headers[name]
  return typeof value === 'string' ? value : ''
}

/** The caller by its key headers; undefined when they are missing, wrong or revoked. */
export function callerOf(broker: Broker, request: IncomingMessage): Caller | undefined {
  const keyId = header(request, 'apca-api-key-id')
  const account = broker.authenticate(keyId, header(request, 'apca-api-secret-key'))
  return account === undefined ? undefined : { keyId, account }
}
