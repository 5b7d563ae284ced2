import { createLogger, runProcess, systemClock, systemRandomness } from '#runtime'
import { readRelayConfig } from './config.ts'
import { startRelay } from './server.ts'

await runProcess('relay', async () => {
  const config = readRelayConfig(process.env)
  const log = createLogger('relay', config.logLevel)
  return {
    running: await startRelay(config, { clock: systemClock, random: systemRandomness, log }),
    log,
  }
})
