/**
 * A completely read answer in the form that the SDK needs: a `Response` without the body stream of
 * a real `Response`, which costs more than the rest of a call. If the SDK reads the stream (for its
 * errors), it gets a real `Response`. Headers, which the SDK reads only after a failure, are
 * created on first use.
 */
export class ReadResponse {
  readonly status: number
  readonly statusText = ''
  readonly url = ''
  readonly redirected = false
  readonly type = 'default'
  readonly bodyUsed = false
  readonly #fields: Fields
  #headers: Headers | null = null
  readonly #text: string

  constructor(status: number, fields: Fields, text: string) {
    this.status = status
    this.#fields = fields
    this.#text = text
  }

  /** True for JSON with a code or a message, which is the form of the broker's own refusals. */
  get isOfBroker(): boolean {
    try {
      const body: unknown = JSON.parse(this.#text)
      if (typeof body !== 'object' || body === null) return false
      const { code, message } = body as Readonly<Record<string, unknown>>
      return (
        typeof code === 'number' ||
        typeof code === 'string' ||
        (typeof message === 'string' && message !== '')
      )
    } catch {
      return false
    }
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300
  }

  get headers(): Headers {
    this.#headers ??= headersOf(this.#fields)
    return this.#headers
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.clone().body
  }

  clone(): Response {
    const isEmpty = this.status === 204 || this.#text === ''
    return new Response(isEmpty ? null : this.#text, { status: this.status, headers: this.headers })
  }

  text(): Promise<string> {
    return Promise.resolve(this.#text)
  }

  /** Rejects if the text is not JSON. */
  async json(): Promise<unknown> {
    return JSON.parse(this.#text) as unknown
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.clone().arrayBuffer()
  }

  blob(): Promise<Blob> {
    return this.clone().blob()
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.arrayBuffer())
  }

  formData(): Promise<FormData> {
    return this.clone().formData()
  }
}

/** Header fields in undici's form. */
type Fields = Readonly<Record<string, string | string[] | undefined>>

function headersOf(fields: Fields): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value ?? []].flat()) headers.append(name, one)
  }
  return headers
}
