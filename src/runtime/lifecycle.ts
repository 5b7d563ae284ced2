import { systemClock } from './clock.ts'
import { FillcastError } from './errors.ts'
import type { Logger } from './logger.ts'

/** Below the 30 s after which orchestrators kill a process. */
const DRAIN_MS_MAX = 25_000

/** The running process. Disposing it drains: stop intake, finish the work that is held, close. */
export type Running = AsyncDisposable &
  Readonly<{
    /**
     * Settles, with the reason, when the process cannot do its work any more and another process
     * should do it: the process drains, and exits with 1.
     */
    broken?: Promise<string>
  }>

/**
 * The most faults that one process reports. A fault that repeats with every turn of the event loop
 * would fill a disk before the drain is over.
 */
const FAULTS_TOLD_MAX = 20

/**
 * From now on the process survives exceptions outside of every promise, and rejections that no code
 * handles. Each of them is a defect after which no state can be trusted: the caller has to end the
 * process.
 * @param tell called with the name of a log event and the error, for the first faults only
 */
export function onFault(tell: (event: string, error: unknown) => void): void {
  let told = 0
  // An unhandled rejection reaches this listener too: that is Node's default.
  process.on('uncaughtException', (error, origin) => {
    told += 1
    if (told > FAULTS_TOLD_MAX) return
    tell(
      origin === 'unhandledRejection'
        ? 'process.unhandled_rejection'
        : 'process.uncaught_exception',
      error,
    )
  })
}

/**
 * Runs one process from start to exit.
 * - SIGTERM and SIGINT drain the process; a second signal or the deadline ends it at once.
 * - A fault (`onFault`) is logged, and the process drains and exits with 1.
 * - A process that was started with an IPC channel drains when the channel closes, because its
 *   parent has ended, in one way or another.
 * @param start reads the configuration and starts everything; an error of ours is printed as plain
 *   text
 */
export async function runProcess(
  name: string,
  start: () => Promise<{ running: Running; log: Logger }>,
): Promise<void> {
  const cannotStart = (error: unknown): never => {
    const text =
      error instanceof FillcastError
        ? error.message
        : error instanceof Error
          ? error.stack
          : String(error)
    process.stderr.write(`${name} cannot start. ${text}\n`)
    process.exit(1)
  }
  let onFaultNow: (event: string, error: unknown) => void = (_event, error) => cannotStart(error)
  onFault((event, error) => onFaultNow(event, error))
  const { running, log } = await start().catch(cannotStart)
  let isDraining = false
  let code = 0
  const drain = async (cause: string, exitCode: number): Promise<void> => {
    code = Math.max(code, exitCode)
    if (isDraining) {
      if (cause.startsWith('SIG')) process.exit(130)
      return
    }
    isDraining = true
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
    log.info({ exitCode: code }, 'process.stopped')
    process.exit(code)
  }
  onFaultNow = (event, error) => {
    log.fatal({ error }, event)
    void drain(event, 1)
  }
  process.on('SIGTERM', () => void drain('SIGTERM', 0))
  process.on('SIGINT', () => void drain('SIGINT', 0))
  process.on('disconnect', () => void drain('parent gone', 0))
  void running.broken?.then((why) => {
    log.fatal({ why }, 'process.broken')
    return drain(why, 1)
  })
  log.info({ pid: process.pid }, 'process.started')
}
