import { type Logger, readConfig, systemClock } from '#runtime'
import { hashPassword } from '../../src/apps/dashboard/passwords.ts'
import { type Dashboard, startDashboard } from '../../src/apps/dashboard/server.ts'
import { dashboardSettings } from '../../src/apps/dashboard/settings.ts'

/** Of both users: ann, an operator, and ben, who only looks. */
export const PASSWORD = 'correct horse battery'

export async function startedDashboard(
  redis: Readonly<{ url: string }>,
  log: Logger,
): Promise<Dashboard> {
  const hash = await hashPassword(PASSWORD)
  const config = readConfig(dashboardSettings, {
    REDIS_URL: redis.url,
    DASHBOARD_PORT: '0',
    DASHBOARD_USERS: `ann:operator:${hash},ben:viewer:${hash}`,
  })
  return startDashboard(config, systemClock, log)
}
