import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * The treatment of connections that are made from now on. `silent`: accepted, and never answered,
 * as behind a dead firewall.
 */
export type Newcomers = 'pass' | 'silent' | 'refused'

type Way = { client: Socket; upstream: Socket | null; isSilent: boolean }

/** A way to a Redis server that breaks as networks do. */
export class RedisLine implements AsyncDisposable {
  newcomers: Newcomers = 'pass'
  /** Connections that came so far, refused ones too. */
  count = 0
  readonly #server: Server
  readonly #port: number
  readonly #ways: Way[] = []

  private constructor(port: number) {
    this.#port = port
    this.#server = createServer((client) => this.#accept(client))
  }

  static async to(port: number): Promise<RedisLine> {
    const line = new RedisLine(port)
    await once(line.#server.listen(0, '127.0.0.1'), 'listening')
    return line
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#ways.filter(({ client }) => !client.destroyed).length
  }

  /** Ends every connection but the first. */
  cut(): void {
    for (const { client } of this.#ways.slice(1)) client.destroy()
  }

  /** Ends every connection. */
  drop(): void {
    for (const { client } of this.#ways) client.destroy()
  }

  /**
   * From now on no byte passes on the current connections, and no connection is closed.
   * @param spared so many of the oldest connections go on; default: none
   */
  silence(spared = 0): void {
    for (const way of this.#ways.slice(spared)) way.isSilent = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { client } of this.#ways) client.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.count += 1
    client.on('error', () => {})
    if (this.newcomers === 'refused') return void client.destroy()
    const way: Way = { client, upstream: null, isSilent: this.newcomers === 'silent' }
    this.#ways.push(way)
    if (way.isSilent) return void client.resume()
    const upstream = connect(this.#port, '127.0.0.1')
    way.upstream = upstream
    upstream.on('error', () => {})
    client.on('data', (bytes) => void (way.isSilent || upstream.write(bytes)))
    upstream.on('data', (bytes) => void (way.isSilent || client.write(bytes)))
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  }
}
