const ANSWER_MS_MAX = 5_000

/** The control calls of the sandbox that the demo uses. Each call throws the sandbox's refusal. */
export class SandboxControl {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** Orders for the symbol rest until `releaseMatching`. */
  async holdMatching(symbol: string): Promise<void> {
    await this.#call('matching/hold', { symbol })
  }

  async releaseMatching(symbol: string): Promise<void> {
    await this.#call('matching/release', { symbol })
  }

  async #call(command: string, body: object): Promise<void> {
    const response = await fetch(`${this.#url}/_sandbox/${command}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
    if (!response.ok)
      throw new Error(`sandbox ${command}: ${response.status} ${await response.text()}`)
  }
}
