import { systemClock } from './clock.ts'
import { FillcastError } from './errors.ts'
import type { Logger } from './logger.ts'

/** Below the 30 s after which orchestrators kill. */
const DRAIN_MS_MAX = 25_000

/** What a process hands back once it runs; disposing it drains: stop intake, finish what is held, close. */
export type Running = AsyncDisposable &
  Readonly<{
    /** Settles, with the reason, when the process cannot do its work any more and another one should: it drains, and exits with 1. */
    broken?: Promise<string>
  }>

/**
 * Runs one process from start to exit. SIGTERM and SIGINT drain it, a second signal or the deadline ends it at once.
 * An unhandled rejection is a defect: it is logged, and the process drains and exits with 1. A process that was started with an
 * IPC channel drains when the channel closes: its parent is gone, however that went.
 * @param start reads its configuration and starts everything; an error of ours is printed as plain text
 */
export async function runProcess(name: string, start: () => Promise<{ running: Running; log: Logger }>): Promise<void> {
  let draining = false
  const started = await start().catch((error: unknown) => {
    const text = error instanceof FillcastError ? error.message : error instanceof Error ? error.stack : String(error)
    process.stderr.write(`${name} cannot start. ${text}\n`)
    process.exit(1)
  })
  const { running, log } = started
  const drain = async (cause: string, exitCode: number): Promise<void> => {
    if (draining) {
      if (cause.startsWith('SIG')) process.exit(130)
      return
    }
    draining = true
    log.info({ cause }, 'process.draining')
    systemClock.after(DRAIN_MS_MAX, () => {
      log.error({ drainMsMax: DRAIN_MS_MAX }, 'process.drain_deadline_passed')
      process.exit(1)
    })
    try {
      await running[Symbol.asyncDispose]()
    } catch (error) {
      log.error({ error }, 'process.drain_failed')
    }
    log.info({ exitCode }, 'process.stopped')
    process.exit(exitCode)
  }
  process.on('SIGTERM', () => void drain('SIGTERM', 0))
  process.on('SIGINT', () => void drain('SIGINT', 0))
  process.on('unhandledRejection', (error) => {
    log.fatal({ error }, 'process.unhandled_rejection')
    void drain('unhandledRejection', 1)
  })
  process.on('disconnect', () => void drain('parent gone', 0))
  void running.broken?.then((why) => {
    log.fatal({ why }, 'process.broken')
    return drain(why, 1)
  })
  log.info({ pid: process.pid }, 'process.started')
}
