import { io, type Socket } from 'socket.io-client'
import { type Expectation, judge, judgeArithmetic, type Received } from './judge.ts'
import { type Demo, demoUsers } from './launcher.ts'

/**
 * Plays the three flow examples of the event specification with plain clients, prints every received event as one line of JSON,
 * and judges them. Waits for conditions only; each has a deadline.
 */
const WAIT_MS_MAX = 20_000
/** After the last expected event, long enough for one that should not come. */
const QUIET_MS = 700

type Player = { name: string; socket: Socket; received: Received[] }

export async function playOnce(demo: Demo, print: (line: string) => void): Promise<readonly string[]> {
  const play = new Play(demo, print)
  try {
    await play.settled()
    const why = [...(await play.example1()), ...(await play.example2()), ...(await play.example3())]
    return why
  } finally {
    play.close()
  }
}

class Play {
  readonly #demo: Demo
  readonly #print: (line: string) => void
  readonly #players: Player[] = []

  constructor(demo: Demo, print: (line: string) => void) {
    this.#demo = demo
    this.#print = print
  }

  close(): void {
    for (const { socket } of this.#players) socket.disconnect()
  }

  /** Both accounts are connected and their cash is known. */
  async settled(): Promise<void> {
    for (const { name } of demoUsers) {
      const token = await this.#login(name)
      const probe = io(this.#demo.relayUrl, { query: { token }, transports: ['websocket'], forceNew: true })
      let accounts = 0
      probe.on(
        'state.sync',
        (sync: { portfolio?: { accounts?: unknown[] } }) => (accounts = sync.portfolio?.accounts?.length ?? 0),
      )
      const ask = setInterval(() => probe.emit('state.requestSync', { syncTypes: ['portfolio'] }), 200)
      try {
        await until(() => accounts > 0, `the broker account of ${name} is connected`)
      } finally {
        clearInterval(ask)
        probe.disconnect()
      }
    }
  }

  /** Example 1: a trade from request to fill. */
  async example1(): Promise<string[]> {
    const act = 'example 1'
    const laptop = await this.#connect('laptop', 'alice')
    await this.#trade('alice', 'buy', { symbol: 'AAPL', quantity: '10' })
    await heard(laptop, 'portfolio.balanceChanged')
    await quiet()
    const events = [
      'connection.authorized',
      'trade.submitted',
      'trade.filled',
      'portfolio.positionAdded',
      'portfolio.balanceChanged',
    ]
    const received = laptop.received.splice(0)
    return [...judge({ act, client: 'laptop', events }, received), ...judgeArithmetic(act, received)]
  }

  /** Example 2: the connection is cut while the order fills. */
  async example2(): Promise<string[]> {
    const act = 'example 2'
    const laptop = this.#player('laptop')
    const before = await this.#cashOf('alice')
    await this.#demo.sandbox.holdMatching()
    const tradeId = await this.#trade('alice', 'buy', { symbol: 'TSLA', quantity: '4' })
    await heard(laptop, 'trade.submitted')
    laptop.socket.io.engine.close()
    await until(() => !laptop.socket.connected, 'the laptop is cut off')
    await this.#demo.sandbox.releaseMatching()
    await until(
      async () => (await this.#demo.producer.orders.get('alice', tradeId))?.status === 'filled',
      'the order is filled',
    )
    await until(() => laptop.socket.connected, 'the laptop is back')
    await heard(laptop, 'connection.authorized')
    laptop.socket.emit('state.requestSync', {})
    await heard(laptop, 'state.sync')
    await quiet()
    const received = laptop.received.splice(0)
    const events = ['trade.submitted', 'connection.authorized', 'state.sync']
    return [...judge({ act, client: 'laptop', events }, received), ...judgeSync(act, received, before)]
  }

  /** Example 3: two devices of one user, and somebody else. */
  async example3(): Promise<string[]> {
    const act = 'example 3'
    const [laptop, phone, other] = [
      this.#player('laptop'),
      await this.#connect('phone', 'alice'),
      await this.#connect('other', 'bob'),
    ]
    await this.#trade('alice', 'buy', { symbol: 'MSFT', quantity: '5' })
    await Promise.all([heard(laptop, 'portfolio.balanceChanged'), heard(phone, 'portfolio.balanceChanged')])
    await quiet()
    const trade = ['trade.submitted', 'trade.filled', 'portfolio.positionAdded', 'portfolio.balanceChanged']
    const expected: Expectation[] = [
      { act, client: 'laptop', events: trade },
      { act, client: 'phone', events: ['connection.authorized', ...trade] },
      { act, client: 'other', events: ['connection.authorized'] },
    ]
    const same = [laptop, phone].map(({ received }) =>
      JSON.stringify(received.filter(isTold).map(({ event, payload }) => [event, payload])),
    )
    const why = same[0] === same[1] ? [] : [`${act}: laptop and phone received different events`]
    const players = [laptop, phone, other]
    return [...why, ...expected.flatMap((one, index) => judge(one, players[index]?.received ?? []))]
  }

  #player(name: string): Player {
    const player = this.#players.find((one) => one.name === name)
    if (player === undefined) throw new Error(`no client ${name}`)
    return player
  }

  async #connect(name: string, user: string): Promise<Player> {
    const token = await this.#login(user)
    const socket = io(this.#demo.relayUrl, { query: { token }, forceNew: true, reconnectionDelay: 200 })
    const player: Player = { name, socket, received: [] }
    socket.onAny((event: string, payload: unknown) => {
      player.received.push({ client: name, event, payload })
      this.#print(JSON.stringify({ client: name, event, payload }))
    })
    this.#players.push(player)
    await heard(player, 'connection.authorized')
    return player
  }

  async #login(username: string): Promise<string> {
    const password = demoUsers.find((user) => user.name === username)?.password
    return (await this.#post<{ token: string }>('/auth/login', { username, password })).token
  }

  async #trade(user: string, side: 'buy' | 'sell', order: object): Promise<string> {
    return (await this.#post<{ tradeId: string }>(`/api/v1/trades/${side}`, order, await this.#login(user))).tradeId
  }

  async #cashOf(user: string): Promise<number> {
    const token = await this.#login(user)
    const socket = io(this.#demo.relayUrl, { query: { token }, forceNew: true, transports: ['websocket'] })
    try {
      return await new Promise<number>((resolve) => {
        socket.on('state.sync', (sync: { portfolio: { cashBalance: number } }) => resolve(sync.portfolio.cashBalance))
        socket.on('connection.authorized', () => socket.emit('state.requestSync', {}))
      })
    } finally {
      socket.disconnect()
    }
  }

  async #post<T>(path: string, body: object, token?: string): Promise<T> {
    const response = await fetch(this.#demo.pageUrl + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(WAIT_MS_MAX),
    })
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }
}

type Sync = {
  portfolio: { cashBalance: number }
  positions: { symbol: string; quantity: number; averageEntryPrice: number }[]
}

/** The snapshot after the reconnect holds the position, and cash less what it cost. */
function judgeSync(act: string, received: readonly Received[], before: number): string[] {
  const sync = received.find(({ event }) => event === 'state.sync')?.payload as Sync | undefined
  const position = sync?.positions.find(({ symbol }) => symbol === 'TSLA')
  if (sync === undefined || position?.quantity !== 4) return [`${act}: state.sync has no position of 4 TSLA`]
  const cost = position.quantity * position.averageEntryPrice
  const isRight = Math.abs(before - cost - sync.portfolio.cashBalance) < 1e-6
  return isRight ? [] : [`${act}: cash ${sync.portfolio.cashBalance} is not ${before} less ${cost}`]
}

const isTold = ({ event }: Received): boolean => event.startsWith('trade.') || event.startsWith('portfolio.')

const heard = (player: Player, event: string): Promise<void> =>
  until(() => player.received.some((one) => one.event === event), `${player.name} receives ${event}`)

/** Polls a condition until it holds. @throws naming it, when it does not in time */
async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + WAIT_MS_MAX
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Nothing more should come; whatever does is judged. */
const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, QUIET_MS))
