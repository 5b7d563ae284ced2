import type { CancelTimer } from '#runtime'
import type { Leases } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Owner } from './lanes.ts'
import type { Schedule } from './schedule.ts'

/**
 * Leases of the store, measured by its own time: one that is not renewed is gone when its time is
 * over.
 */
export function modelLeases(schedule: Schedule, world: Owner, store: FakeStore): Leases {
  const expiries = new Map<string, CancelTimer>()
  let tokens = 0
  const keep = (name: string, ttlMs: number): void => {
    expiries.get(name)?.()
    expiries.set(
      name,
      schedule.after(world, ttlMs, () => void store.leases.delete(name)),
    )
  }
  return {
    async take(key, ttlMs) {
      const name = leaseName(key)
      if (store.leases.has(name)) return null
      tokens = Math.max(tokens + 1, schedule.nowMs * 1_000)
      store.leases.set(name, String(tokens))
      keep(name, ttlMs)
      return String(tokens)
    },
    async renew(key, token, ttlMs) {
      const name = leaseName(key)
      if (store.leases.get(name) !== token) return false
      keep(name, ttlMs)
      return true
    },
    revoke: async (key) => void store.leases.delete(leaseName(key)),
    async release(key, token) {
      if (store.leases.get(leaseName(key)) === token) store.leases.delete(leaseName(key))
    },
  }
}

/** By key. */
const names = new Map<string, string>()

/**
 * The name of a lease in the store, as an account is called: `<user> <connection>`.
 * @param key `lease:{user}:connection`
 */
export function leaseName(key: string): string {
  const name = names.get(key) ?? key.replace(/^lease:\{(.*)\}:(.*)$/, '$1 $2')
  names.set(key, name)
  return name
}
