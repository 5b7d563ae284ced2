import { z } from 'zod'
import {
  listenHostSetting,
  logLevelSetting,
  portSetting,
  probePortSetting,
  redisUrlSetting,
  setting,
  type Settings,
} from '#runtime'
import { parseUsers } from './users.ts'

export const dashboardSettings = {
  redisUrl: redisUrlSetting,
  port: portSetting('DASHBOARD_PORT', 'Port of the dashboard', 3002),
  users: setting({
    env: 'DASHBOARD_USERS',
    schema: z.string().transform((text, context) => {
      const users = parseUsers(text)
      if (users !== null) return users
      context.addIssue({ code: 'custom', message: 'malformed' })
      return z.NEVER
    }),
    purpose: 'People who may open the dashboard, with hashes of their passwords',
    allowed:
      'name:role:scrypt hash,... with role viewer or operator; npm run dashboard -- hash NAME ROLE writes an entry',
  }),
  listenHost: listenHostSetting,
  probePort: probePortSetting,
  logLevel: logLevelSetting,
} as const satisfies Settings
