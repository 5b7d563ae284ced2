/** Extra top-level fields of an error body, as the broker adds them. */
type RefusalFields = Readonly<Record<string, unknown>>

/** A request the broker refuses, with the exact status and body it answers. */
export class Refusal extends Error {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>

  constructor(
    status: number,
    code: number | undefined,
    message: string,
    fields: RefusalFields = {},
  ) {
    super(message)
    this.name = 'Refusal'
    this.status = status
    this.body = code === undefined ? { message, ...fields } : { code, message, ...fields }
  }
}

/** 401: keys missing, wrong or revoked. The body has no code (measured at the broker). */
export const unauthorized = (): Refusal => new Refusal(401, undefined, 'unauthorized.')
/** 422 with 40010001: the request itself is wrong. */
export const invalid = (message: string): Refusal => new Refusal(422, 40010001, message)
/** 422 with 42210000: well formed, but not possible. */
export const unprocessable = (message: string, fields?: RefusalFields): Refusal =>
  new Refusal(422, 42210000, message, fields)
/** 403 with 40310000: a verdict on the order or the account, not on the credentials. */
export const forbidden = (message: string, fields?: RefusalFields): Refusal =>
  new Refusal(403, 40310000, message, fields)
/** 404 with 40410000. */
export const notFound = (message: string): Refusal => new Refusal(404, 40410000, message)
