/**
 * An answer that has been read to its end, as the SDK wants it: a `Response`, without the stream that a real one wraps around its
 * body, which costs more than the rest of a call. What the SDK reads through the stream after all (its errors) gets a real one.
 */
export class ReadResponse {
  readonly status: number
  readonly statusText = ''
  readonly headers: Headers
  readonly url = ''
  readonly redirected = false
  readonly type = 'default'
  readonly bodyUsed = false
  readonly #text: string

  constructor(status: number, headers: Headers, text: string) {
    this.status = status
    this.headers = headers
    this.#text = text
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300
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
