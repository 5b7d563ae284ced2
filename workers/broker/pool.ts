import { type BrokerConnection, type Connections, type ConnectionRef, isVerified, type Vault } from '#store'
import { FillcastError } from '#runtime'
import type { Broker } from './port.ts'

/** A connection that this worker cannot or must not use. Final until the user connects again. */
export class ConnectionUnusableError extends FillcastError<'CONNECTION_UNUSABLE'> {
  constructor(why: string) {
    super('CONNECTION_UNUSABLE', `${why}. Connect the broker account again`)
  }
}

/**
 * The credentials of a connection were not seen to lead to its account: new ones that nobody has logged in with, or refused ones, or
 * those of another account. What is open stays as it is until that is settled (CON-05, MUL-02).
 */
export class UnverifiedError extends FillcastError<'CONNECTION_UNVERIFIED'> {
  constructor() {
    super('CONNECTION_UNVERIFIED', 'it is not known yet to which account the credentials of the connection lead')
  }
}

/** Opened connections kept at once; the one used longest ago is dropped first and opened again when needed. */
const BROKERS_MAX = 5_000

/** Brokers of connections, opened on first use and opened anew when the connection's record changes. */
export class BrokerPool {
  readonly #open = new Map<string, { revision: string; broker: Broker }>()
  readonly #connections: Connections
  readonly #vault: Vault
  readonly #env: BrokerConnection['env']
  readonly #create: (
    connection: BrokerConnection,
    credentials: Awaited<ReturnType<Vault['open']>>['credentials'],
  ) => Broker

  /** @param env the only environment that this worker talks to */
  constructor(
    connections: Connections,
    vault: Vault,
    env: BrokerConnection['env'],
    create: (connection: BrokerConnection, credentials: Awaited<ReturnType<Vault['open']>>['credentials']) => Broker,
  ) {
    this.#connections = connections
    this.#vault = vault
    this.#env = env
    this.#create = create
  }

  /**
   * The broker of a connection, for work on its orders and its state.
   * @throws {ConnectionUnusableError} no such connection, or one of another environment
   * @throws {UnverifiedError} it is not known to which account the credentials lead: nothing is asked of it
   */
  async get(ref: ConnectionRef): Promise<Broker> {
    const found = await this.#connections.find(ref)
    if (found === null) throw new ConnectionUnusableError('There is no such broker connection')
    if (found.connection.env === this.#env && !isVerified(found)) throw new UnverifiedError()
    return this.open(found.connection)
  }

  /** The same, for finding out to which account the credentials lead. @throws {ConnectionUnusableError} */
  async open(connection: BrokerConnection): Promise<Broker> {
    if (connection.env !== this.#env) {
      throw new ConnectionUnusableError(
        `The broker connection is for ${connection.env}, this system trades ${this.#env}`,
      )
    }
    const ref = { userId: connection.userId, connectionId: connection.connectionId }
    const key = `${ref.userId} ${ref.connectionId}`
    const known = this.#open.get(key)
    if (known?.revision === connection.revision) {
      this.#open.delete(key) // to the end of the map: used last
      this.#open.set(key, known)
      return known.broker
    }
    const { credentials } = await this.#vault.open(ref, connection.sealed)
    const broker = this.#create(connection, credentials)
    this.#open.delete(key)
    if (this.#open.size >= BROKERS_MAX) this.#open.delete(this.#open.keys().next().value ?? '')
    this.#open.set(key, { revision: connection.revision, broker })
    return broker
  }
}
