import type { Clock, Logger } from '#runtime'
import type { Assets, BrokerEnvironment, ConnectionRef } from '#store'
import type { BrokerPool } from '../broker/index.ts'

export type AssetDeps = Readonly<{
  assets: Assets
  brokers: Pick<BrokerPool, 'get'>
  env: BrokerEnvironment
  clock: Clock
  log: Logger
}>

/** A worker that did not get the turn requests it again after this time. */
const ASK_AGAIN_MS = 30_000

/**
 * Keeps the list of the broker's assets fresh, with the credentials of the connection that logged
 * in last. Only one worker at a time reads the list; a failed reading is repeated by the next login
 * after the turn has ended. Never throws.
 *
 * @returns a function to call with each connection whose login worked
 */
export function keepAssets({
  assets,
  brokers,
  env,
  clock,
  log,
}: AssetDeps): (ref: ConnectionRef) => Promise<void> {
  let askAtMs = Number.NEGATIVE_INFINITY
  return async (ref) => {
    if (clock.monotonicMs() < askAtMs) return
    askAtMs = clock.monotonicMs() + ASK_AGAIN_MS
    try {
      if (!(await assets.takeTurn(env))) return
      const listed = await (await brokers.get(ref)).listAssets()
      if (listed.length === 0) throw new RangeError('the broker lists no assets')
      await assets.put(env, listed)
      log.info({ env, assets: listed.length }, 'assets.listed')
    } catch (error) {
      log.warn({ ...ref, env, error }, 'assets.not_listed')
    }
  }
}
