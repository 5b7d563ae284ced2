/**
 * An answer that has been read to its end, as the SDK wants it: a `Response`, without the stream
 * that a real one wraps around its body, which costs more than the rest of a call. What the SDK
 * reads through the stream after all (its errors) gets a real one; headers, which it looks at when
 * something went wrong, are made when they are asked for.
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

  /** Whether it is JSON with a code or a message of its own, as the broker writes its refusals. */
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

  /** Rejects when it is no JSON. */
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

/** Header fields as undici has read them. */
type Fields = Readonly<Record<string, string | string[] | undefined>>

function headersOf(fields: Fields): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value ?? []].flat()) headers.append(name, one)
  }
  return headers
}
