import { text } from 'node:stream/consumers'
import { ConfigError, createLogger, readConfig, runProcess, systemClock } from '#runtime'
import { hashPassword } from './passwords.ts'
import { startDashboard } from './server.ts'
import { dashboardSettings } from './settings.ts'
import { isRole, USER_NAME } from './users.ts'

const PASSWORD_LENGTH_MIN = 12

/**
 * `npm run dashboard -- hash NAME ROLE`: reads a password from standard input and prints an entry
 * of DASHBOARD_USERS.
 */
async function printEntry(name = '', role?: string): Promise<void> {
  if (!USER_NAME.test(name) || !isRole(role)) {
    throw new ConfigError(
      'Write: npm run --silent dashboard -- hash NAME viewer|operator, and the password on standard input',
    )
  }
  if (process.stdin.isTTY) process.stderr.write('Password (it is shown), then Enter and Ctrl-D: ')
  const password = (await text(process.stdin)).replace(/\r?\n$/, '')
  if (password.length < PASSWORD_LENGTH_MIN)
    throw new ConfigError(`Use a password of ${PASSWORD_LENGTH_MIN} characters or more`)
  process.stdout.write(`${name}:${role}:${await hashPassword(password)}\n`)
}

const [command, ...args] = process.argv.slice(2)
if (command === 'hash') {
  await printEntry(...args).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })
} else {
  await runProcess('dashboard', async () => {
    const config = readConfig(dashboardSettings, process.env)
    const log = createLogger('dashboard', config.logLevel)
    return { running: await startDashboard(config, systemClock, log), log }
  })
}
