import { createLogger, runProcess } from '#runtime'
import { startWorkers } from './compose.ts'
import { readWorkerConfig } from './config.ts'

await runProcess('workers', async () => {
  const config = readWorkerConfig(process.env)
  const log = createLogger('workers', config.logLevel)
  return { running: await startWorkers(config, log), log }
})
