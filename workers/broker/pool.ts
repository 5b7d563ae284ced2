import { FillcastError, putNewest } from '#runtime'
import {
  type BrokerConnection,
  type ConnectionRef,
  type Connections,
  isVerified,
  type LinkedConnection,
  type Vault,
} from '#store'
import type { Broker } from './port.ts'

/** A connection that this worker cannot or must not use. Final until the user connects again. */
export class ConnectionUnusableError extends FillcastError<'CONNECTION_UNUSABLE'> {
  constructor(why: string) {
    super('CONNECTION_UNUSABLE', `${why}. Connect the broker account again`)
  }
}

/**
 * The credentials of a connection are not verified: they are new and no login has used them, the
 * broker refused them, or they lead to another account. Until the verification, open orders stay as
 * they are (CON-05, MUL-02).
 */
export class UnverifiedError extends FillcastError<'CONNECTION_UNVERIFIED'> {
  constructor() {
    super(
      'CONNECTION_UNVERIFIED',
      'it is not known yet to which account the credentials of the connection lead',
    )
  }
}

/**
 * The most open connections kept. The connection used longest ago is evicted first, and opened
 * again when needed.
 */
const BROKERS_MAX = 5_000

/** A broker, and the revision of the connection record that has its credentials. */
export type Opened = Readonly<{ broker: Broker; revision: string }>

/**
 * The brokers of connections, opened on first use and opened again when the connection's record
 * changes.
 */
export class BrokerPool {
  readonly #open = new Map<string, Opened>()
  readonly #connections: Connections
  readonly #remembered: (ref: ConnectionRef) => LinkedConnection | null
  readonly #vault: Vault
  readonly #env: BrokerConnection['env']
  readonly #create: (
    connection: BrokerConnection,
    credentials: Awaited<ReturnType<Vault['open']>>['credentials'],
  ) => Broker

  /**
   * @param remembered a connection from this process's memory, which may lag a little
   * @param env the only environment that this worker uses
   */
  constructor(
    connections: Connections,
    remembered: (ref: ConnectionRef) => LinkedConnection | null,
    vault: Vault,
    env: BrokerConnection['env'],
    create: (
      connection: BrokerConnection,
      credentials: Awaited<ReturnType<Vault['open']>>['credentials'],
    ) => Broker,
  ) {
    this.#connections = connections
    this.#remembered = remembered
    this.#vault = vault
    this.#env = env
    this.#create = create
  }

  /**
   * The broker of a connection, for work on its orders and its state.
   * @throws {ConnectionUnusableError} the connection does not exist, or is of another environment
   * @throws {UnverifiedError} the account of the credentials is not verified: no request may be
   *   sent
   */
  async get(ref: ConnectionRef): Promise<Broker> {
    return (await this.find(ref)).broker
  }

  /**
   * Like `get`, with the revision that a claim names.
   * @throws {ConnectionUnusableError}
   * @throws {UnverifiedError}
   */
  async find(ref: ConnectionRef): Promise<Opened> {
    const found = await this.#connections.find(ref)
    if (found === null) throw new ConnectionUnusableError('There is no such broker connection')
    if (found.connection.env === this.#env && !isVerified(found)) throw new UnverifiedError()
    return this.#openAt(found.connection)
  }

  /**
   * Like `find`, but uses a remembered connection if its credentials are verified. Only for a
   * claim, which is refused if the connection's record has changed since.
   * @throws {ConnectionUnusableError}
   * @throws {UnverifiedError}
   */
  async recall(ref: ConnectionRef): Promise<Opened> {
    const known = this.#remembered(ref)
    return known !== null && isVerified(known) ? this.#openAt(known.connection) : this.find(ref)
  }

  /**
   * Like `get`, for the login that verifies the account of the credentials.
   * @throws {ConnectionUnusableError}
   */
  async open(connection: BrokerConnection): Promise<Broker> {
    return (await this.#openAt(connection)).broker
  }

  async #openAt(connection: BrokerConnection): Promise<Opened> {
    if (connection.env !== this.#env) {
      throw new ConnectionUnusableError(
        `The broker connection is for ${connection.env}, this system trades ${this.#env}`,
      )
    }
    const ref = { userId: connection.userId, connectionId: connection.connectionId }
    const key = `${ref.userId} ${ref.connectionId}`
    const known = this.#open.get(key)
    if (known?.revision === connection.revision) {
      putNewest(this.#open, key, known, BROKERS_MAX) // it is now the one used last
      return known
    }
    const { credentials } = await this.#vault.open(ref, connection.sealed)
    const opened = { revision: connection.revision, broker: this.#create(connection, credentials) }
    putNewest(this.#open, key, opened, BROKERS_MAX)
    return opened
  }
}
