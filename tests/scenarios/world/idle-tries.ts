import type { ConnectionRef, Leases } from '#store'
import type { BrokerPool } from '../../../workers/broker/pool.ts'
import { type ConnectionLease, READ_BY_OTHERS_TRIES } from '../../../workers/accounts/lease.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Process } from './process.ts'
import type { Schedule } from './schedule.ts'

/** The doors through which the owner of one connection tries for its lease. */
type Doors = Readonly<{ leases: Leases; brokers: Pick<BrokerPool, 'get'> }>

/** The calls of a worker to the owner of a connection. */
export type Owned = Pick<ConnectionLease, 'refresh' | 'close' | 'readopt' | 'redisReconnected'>

/** `end`: the owner that waits, if it does, goes on at once. */
type Wait = { end: () => void }

/** An owner tries once within this time; when within it, is the seed's choice. */
const TRY_MS = 1_000
/** An owner that waits looks again after this long. */
const WAIT_MS_MAX = 60_000

/**
 * A worker that owns no lease of a connection tries for it every second: five steps of the world
 * that find nothing. Here an owner that was refused so often in a row that it has learned what
 * refusals tell it waits before its next try, without a step, until the lease is free. Then it
 * tries at some moment of the second that follows, as it would have done anyway.
 */
export class IdleTries {
  readonly #schedule: Schedule
  readonly #store: FakeStore

  constructor(schedule: Schedule, store: FakeStore) {
    this.#schedule = schedule
    this.#store = store
  }

  /**
   * Opens the owner of one connection, which asks for the broker before each try. What its worker
   * tells it ends its wait.
   */
  own(
    process: Process,
    { userId, connectionId }: ConnectionRef,
    doors: Doors,
    open: (doors: Doors) => Owned,
  ): Owned {
    const name = `${userId} ${connectionId}`
    const wait: Wait = { end: () => {} }
    const owner = open(this.#patient(process, name, doors, wait))
    return {
      readopt: () => owner.readopt(),
      redisReconnected: () => owner.redisReconnected(),
      refresh() {
        owner.refresh()
        wait.end()
      },
      async close() {
        const closed = owner.close()
        wait.end()
        await closed
      },
    }
  }

  #patient(process: Process, name: string, { leases, brokers }: Doors, wait: Wait): Doors {
    let refusals = 0
    return {
      brokers: {
        get: async (ref) => {
          const isIdle = refusals >= READ_BY_OTHERS_TRIES && this.#store.leases.has(name)
          if (isIdle) await this.#freed(process, name, wait)
          return brokers.get(ref)
        },
      },
      leases: {
        take: async (...asked) => {
          const token = await leases.take(...asked)
          refusals = token === null ? refusals + 1 : 0
          return token
        },
        renew: (...asked) => leases.renew(...asked),
        release: (...asked) => leases.release(...asked),
        revoke: (...asked) => leases.revoke(...asked),
      },
    }
  }

  #freed(process: Process, name: string, wait: Wait): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#store.leases.onFree((freed) => {
        if (freed !== name) return
        stop()
        cancel()
        process.clock.after(this.#schedule.chance.below(TRY_MS), resolve)
      })
      wait.end = () => {
        stop()
        cancel()
        resolve()
      }
      const cancel = process.clock.after(WAIT_MS_MAX, wait.end)
      process.onDeath(stop)
    })
  }
}
