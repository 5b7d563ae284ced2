import { systemClock } from '#runtime'
import {
  FILL_EVENTS,
  find,
  judge,
  judgeFill,
  judgeSame,
  judgeSync,
  type Placed,
  type Received,
} from './judge.ts'
import { type Demo, demoUsers } from './launcher.ts'
import { type Network, startNetwork } from './network.ts'
import { Player, until } from './player.ts'

/** Wait after the last expected event of an act, long enough to catch an unexpected event. */
const QUIET_MS = 500
const ANSWER_MS_MAX = 10_000

/**
 * Plays the three flow examples of the event specification with plain clients.
 * @param print is called with each received event on arrival
 * @returns all problems; empty if there are none
 */
export async function playOnce(
  demo: Demo,
  print: (received: Received) => void,
): Promise<readonly string[]> {
  await using network = await startNetwork(demo.relayUrl)
  using play = new Play(demo, network, print)
  return [...(await play.example1()), ...(await play.example2()), ...(await play.example3())]
}

class Play implements Disposable {
  readonly #demo: Demo
  readonly #network: Network
  readonly #print: (received: Received) => void
  readonly #players = new Map<string, Player>()
  #cash = Number.NaN

  constructor(demo: Demo, network: Network, print: (received: Received) => void) {
    this.#demo = demo
    this.#network = network
    this.#print = print
  }

  [Symbol.dispose](): void {
    for (const { socket } of this.#players.values()) socket.disconnect()
  }

  /** Example 1: a trade, from the request to the changed balance. */
  async example1(): Promise<string[]> {
    const act = 'example 1'
    const laptop = await this.#connect('laptop', 'alice', this.#network.url)
    const placed = await this.#buy('alice', 'AAPL', 10)
    await laptop.hears('portfolio.balanceChanged')
    await quiet()
    const received = laptop.take()
    this.#cash = find(received, 'portfolio.balanceChanged')?.newBalance ?? Number.NaN
    return [
      ...judge(
        this.#expect(act, 'laptop', 'alice', ['connection.authorized', ...FILL_EVENTS]),
        received,
      ),
      ...judgeFill(act, placed, received),
    ]
  }

  /**
   * Example 2: the network is lost while the order fills; the client reconnects by itself and
   * requests the state.
   */
  async example2(): Promise<string[]> {
    const act = 'example 2'
    const laptop = this.#player('laptop')
    await this.#demo.sandbox.holdMatching('TSLA')
    const placed = await this.#buy('alice', 'TSLA', 4)
    await laptop.hears('trade.submitted')
    this.#network.cut()
    await until(() => !laptop.socket.connected, 'the laptop notices that its connection is lost')
    await this.#demo.sandbox.releaseMatching('TSLA')
    await until(() => this.#isFilled(placed), 'the order fills while the laptop is away')
    this.#network.restore()
    await laptop.hears('connection.authorized')
    laptop.socket.emit('state.requestSync', {})
    await laptop.hears('state.sync')
    await quiet()
    const received = laptop.take()
    return [
      ...judge(
        this.#expect(act, 'laptop', 'alice', [
          'trade.submitted',
          'connection.authorized',
          'state.sync',
        ]),
        received,
      ),
      ...judgeSync(act, placed, this.#cash, received),
    ]
  }

  /** Example 3: two devices of one user receive the same events; another user receives none. */
  async example3(): Promise<string[]> {
    const act = 'example 3'
    const laptop = this.#player('laptop')
    const phone = await this.#connect('phone', 'alice')
    const other = await this.#connect('other', 'bob')
    const placed = await this.#buy('alice', 'MSFT', 5)
    await Promise.all([laptop, phone].map((player) => player.hears('portfolio.balanceChanged')))
    await quiet()
    const onLaptop = laptop.take()
    const onPhone = phone.take()
    const onOther = other.take()
    return [
      ...judge(this.#expect(act, 'laptop', 'alice', FILL_EVENTS), onLaptop),
      ...judge(
        this.#expect(act, 'phone', 'alice', ['connection.authorized', ...FILL_EVENTS]),
        onPhone,
      ),
      ...judge(this.#expect(act, 'other', 'bob', ['connection.authorized']), onOther),
      ...judgeFill(act, placed, onPhone),
      ...judgeSame(act, onLaptop, onPhone),
    ]
  }

  #expect(
    act: string,
    client: string,
    user: string,
    events: Parameters<typeof judge>[0]['events'],
  ) {
    return { act, client, userId: this.#demo.userIdOf(user), events }
  }

  #player(name: string): Player {
    const player = this.#players.get(name)
    if (player === undefined) throw new Error(`no client ${name}`)
    return player
  }

  async #connect(name: string, user: string, relayUrl = this.#demo.relayUrl): Promise<Player> {
    const player = new Player(name, relayUrl, await this.#login(user), this.#print)
    this.#players.set(name, player)
    await player.hears('connection.authorized')
    return player
  }

  async #login(username: string): Promise<string> {
    const password = demoUsers.find(({ name }) => name === username)?.password
    return (await this.#post<{ token: string }>('/auth/login', { username, password })).token
  }

  async #buy(user: string, symbol: string, quantity: number): Promise<Placed> {
    const order = { symbol, quantity: String(quantity), orderType: 'market' }
    const { tradeId } = await this.#post<{ tradeId: string }>(
      '/api/v1/trades/buy',
      order,
      await this.#login(user),
    )
    return { tradeId, symbol, quantity }
  }

  async #isFilled({ tradeId }: Placed): Promise<boolean> {
    const order = await this.#demo.producer.orders.get(this.#demo.userIdOf('alice'), tradeId)
    return order?.status === 'filled'
  }

  async #post<T>(path: string, body: object, token?: string): Promise<T> {
    const response = await fetch(this.#demo.pageUrl + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }
}

/** Waits for unexpected events. Any event that arrives meanwhile is judged too. */
const quiet = (): Promise<void> => systemClock.sleep(QUIET_MS)
