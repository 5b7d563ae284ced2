/**
 * The base of every error on which a caller may decide. `code` is stable and closed per subclass.
 * `message` says how to fix the problem and is for people only. Errors never carry a secret: their
 * text reaches logs, failed jobs and the dashboard.
 */
export class FillcastError<Code extends string = string> extends Error {
  readonly code: Code

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/**
 * One or more configuration values are missing or wrong. The message names all of them, and the
 * allowed values.
 */
export class ConfigError extends FillcastError<'CONFIG_INVALID'> {
  constructor(message: string) {
    super('CONFIG_INVALID', message)
  }
}

/** A rule that the program itself guarantees does not hold: a defect, never a user's mistake. */
export class InvariantError extends FillcastError<'INVARIANT_BROKEN'> {
  constructor(message: string) {
    super('INVARIANT_BROKEN', message)
  }
}
