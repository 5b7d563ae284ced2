import { type DestinationStream, type Logger, pino } from 'pino'
import { FillcastError } from './errors.ts'

export type { Logger }

/**
 * The fields of an error that are logged: never its extra fields, which may hold request headers.
 */
function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) }
  const code: unknown =
    error instanceof FillcastError ? error.code : 'code' in error ? error.code : undefined
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: errorFields(error.cause) }),
  }
}

// Second line of defence; the first is that the code hands no secret to the logger. pino has no
// deep wildcard.
const secretFields = [
  'secret',
  'secretKey',
  'keyId',
  'token',
  'authorization',
  'password',
  'cookie',
  'credentials',
  'headers',
]

/**
 * Standard output that may break: a process whose reader has died must still be able to drain and
 * exit, while the usual destination retries for ever.
 */
function standardOutput(): DestinationStream {
  if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => {})
  return { write: (line) => void process.stdout.write(line) }
}

/**
 * JSON lines on stdout. A line is an event name with fields, never prose with values: `log.warn({
 * clientOrderId }, 'submit.unknown')`.
 * @param name the process, for example `workers`
 */
export function createLogger(name: string, level: string, destination?: DestinationStream): Logger {
  const options = {
    name,
    level,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: errorFields, error: errorFields },
    redact: {
      paths: secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: '[redacted]',
    },
  }
  return pino(options, destination ?? standardOutput())
}
