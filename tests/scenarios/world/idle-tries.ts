import type { ConnectionRef, Leases } from '#store'
import type { BrokerPool } from '../../../workers/broker/index.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Process } from './process.ts'
import type { Schedule } from './schedule.ts'

/** The doors through which the owner of one connection tries for its lease. */
type Doors = Readonly<{ leases: Leases; brokers: Pick<BrokerPool, 'get'> }>

/** After so many refusals in a row an owner has learned from them what it can (`READ_BY_OTHERS_TRIES` in `owner.ts`). */
const TRIES_MAX = 12
/** An owner tries once within this time; when within it, is the seed's choice. */
const TRY_MS = 1_000
/** An owner that waits looks again after this long, so that closing it takes no longer either. */
const WAIT_MS_MAX = 60_000

/**
 * A worker that owns no lease of a connection tries for it every second: five steps of the world that find nothing. Here an owner that
 * was refused often enough waits before its next try, without a step, until the lease is free. Then it tries at some moment of the
 * second that follows, as it would have done anyway.
 */
export class IdleTries {
  readonly #schedule: Schedule
  readonly #store: FakeStore

  constructor(schedule: Schedule, store: FakeStore) {
    this.#schedule = schedule
    this.#store = store
  }

  /** The doors of the owner of one connection, which asks for the broker before each try. */
  doorsOf(process: Process, { userId, connectionId }: ConnectionRef, { leases, brokers }: Doors): Doors {
    let refusals = 0
    const name = `${userId} ${connectionId}`
    return {
      brokers: {
        get: async (ref) => {
          if (refusals >= TRIES_MAX && this.#store.leases.has(name)) await this.#freed(process, name)
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

  #freed(process: Process, name: string): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#store.leases.onFree((freed) => {
        if (freed !== name) return
        stop()
        cancel()
        process.clock.after(this.#schedule.chance.below(TRY_MS), resolve)
      })
      const cancel = process.clock.after(WAIT_MS_MAX, () => {
        stop()
        resolve()
      })
      process.onDeath(stop)
    })
  }
}
