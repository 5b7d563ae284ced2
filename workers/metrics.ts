import type { Anomaly, Change } from '#domain'
import type { Logger, Metrics } from '#runtime'

/** Counts what was committed, and tells the log of everything that should not be. */
export function countChanges(metrics: Metrics, log: Logger): (userId: string, changes: readonly Change[]) => void {
  const changed = metrics.counter('fillcast_changes_total', 'Changes committed to user state, by type', ['type'])
  const anomalies = metrics.counter('fillcast_anomalies_total', 'Broker updates that should not be, by kind', ['kind'])
  return (userId, changes) => {
    for (const change of changes) {
      changed.inc({ type: change.type })
      if (change.type !== 'anomaly') continue
      const kind: Anomaly = change.what
      anomalies.inc({ kind })
      log.warn({ userId, orderId: change.orderId, kind }, 'update.anomaly')
    }
  }
}
