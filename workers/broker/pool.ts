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
 * The credentials of a connection were not seen to lead to its account: new ones that nobody has
 * logged in with, or refused ones, or those of another account. What is open stays as it is until
 * that is settled (CON-05, MUL-02).
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
 * Opened connections kept at once; the one used longest ago is dropped first and opened again when
 * needed.
 */
const BROKERS_MAX = 5_000

/** A broker, and the revision of the connection's record that its credentials are of. */
export type Opened = Readonly<{ broker: Broker; revision: string }>

/**
 * Brokers of connections, opened on first use and opened anew when the connection's record changes.
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
   * @param remembered a connection as this process knows it, perhaps a little late
   * @param env the only environment that this worker talks to
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
   * @throws {ConnectionUnusableError} no such connection, or one of another environment
   * @throws {UnverifiedError} it is not known to which account the credentials lead: nothing is
   *   asked of it
   */
  async get(ref: ConnectionRef): Promise<Broker> {
    return (await this.find(ref)).broker
  }

  /**
   * As `get`, with the revision that a claim names.
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
   * As `find`, from memory where a connection that may be used is remembered: only for a claim,
   * which is refused when its record has changed since.
   * @throws {ConnectionUnusableError}
   * @throws {UnverifiedError}
   */
  async recall(ref: ConnectionRef): Promise<Opened> {
    const known = this.#remembered(ref)
    return known !== null && isVerified(known) ? this.#openAt(known.connection) : this.find(ref)
  }

  /**
   * As `get`, for finding out to which account the credentials lead.
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
      putNewest(this.#open, key, known, BROKERS_MAX) // it was used last
      return known
    }
    const { credentials } = await this.#vault.open(ref, connection.sealed)
    const opened = { revision: connection.revision, broker: this.#create(connection, credentials) }
    putNewest(this.#open, key, opened, BROKERS_MAX)
    return opened
  }
}
