/** The control calls of the sandbox that the demo uses. */
export class SandboxControl {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }
}
