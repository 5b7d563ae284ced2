import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { availableParallelism, loadavg } from 'node:os'
import { createReader, type Reader } from '#store'
import type { AccountLedger } from '#sandbox'
import { wholeNumber } from '../support/flags.ts'
import { connectionOf, Ground, keyOf, userOf } from '../support/ground.ts'

/**
 * The time until a fill is detected that the trade stream never delivers, and the cost of the
 * detection (promise P7): the broker drops every event of every stream, so that only polling finds
 * the fill. Three kinds of accounts: orders in flight, orders that rest, and orders that rest among
 * 1,500 others.
 */
const USAGE = `Usage: npm run bench -- detection [options]
  --fills N          fills measured of each kind (default 40)
  --open N           open orders of the crowded account (default 1500)`

const LIMITS = { fills: 200, open: 3_000 } as const
const IN_FLIGHT_MS_MAX = 5_000
const RESTING_MS_MAX = 15_000
const REQUESTS_A_MINUTE_MAX = 40
/** Orders have rested for this long when they are filled: no order is in flight any more. */
const REST_MS = 20_000
const WINDOW_MS = 60_000
const SEEN_MS_MAX = 60_000
const IN_FLIGHT = 0
const RESTING = 1
const CROWDED = 2
/**
 * The crowd is placed elsewhere: our own submissions would take ten minutes of the account's
 * budget.
 */
const CROWD = {
  symbol: 'AAPL',
  qty: '1',
  side: 'buy',
  type: 'limit',
  limit_price: '1',
  time_in_force: 'gtc',
}
const PLACED_MS_MAX = 120_000

const limited = (flag: keyof typeof LIMITS, text: string): number =>
  wholeNumber(flag, text, LIMITS[flag], USAGE)

/** The time of the fill of each trade in the log, ms since 1970 by Redis. */
async function filledAtMs(reader: Reader, userId: string): Promise<Map<string, number>> {
  const seen = new Map<string, number>()
  let position = '0000000000000-00000'
  for (;;) {
    const { entries } = await reader.events(userId, position, 500)
    for (const { event, payload, id } of entries)
      if (event === 'trade.filled')
        seen.set((payload as { tradeId: string }).tradeId, Number(id.slice(0, 13)))
    const last = entries.at(-1)
    if (last === undefined) return seen
    position = last.id
  }
}

/** When the broker executed each trade. */
function executedAtMs(ledger: AccountLedger): Map<string, number> {
  const trades = new Map(
    (ledger.orders as readonly Record<string, string>[]).map(
      ({ id, client_order_id: clientOrderId = '' }) => [
        id,
        clientOrderId.replace(/^fc1-[0-9a-f]{10}-0\.0-/, ''),
      ],
    ),
  )
  return new Map(
    (ledger.executions as readonly Record<string, string>[]).map(
      ({ order_id: id, transaction_time: at = '' }) => [trades.get(id) ?? '', Date.parse(at)],
    ),
  )
}

async function delaysOf(
  ground: Ground,
  index: number,
  prefix: string,
  fills: number,
): Promise<number[]> {
  const reader = createReader(ground.redis.connect())
  const deadlineMs = performance.now() + SEEN_MS_MAX
  for (;;) {
    const seen = await filledAtMs(reader, userOf(index))
    const ledger = await ground.ledger()
    const executed = executedAtMs(ledger.accounts[keyOf(index)] as AccountLedger)
    const delays = [...executed]
      .filter(([trade]) => trade.startsWith(prefix))
      .map(([trade, at]) => (seen.get(trade) ?? Infinity) - at)
    if (delays.length === fills && !delays.includes(Infinity)) return delays.sort((a, b) => a - b)
    if (performance.now() > deadlineMs) return delays.sort((a, b) => a - b)
    await pause(500)
  }
}

const submit = (
  ground: Ground,
  index: number,
  tradeId: string,
  terms: Readonly<{ orderType: 'market' } | { orderType: 'limit' }>,
) =>
  ground.producer.submitOrder({
    userId: userOf(index),
    connectionId: connectionOf(userOf(index)),
    tradeId,
    symbol: 'AAPL',
    side: 'buy',
    quantity: '1',
    timeInForce: terms.orderType === 'limit' ? 'gtc' : 'day',
    ...terms,
    ...(terms.orderType === 'limit' ? { limitPrice: '1' } : {}),
  })

/** Fills resting orders at the broker, one after another, at moments that no poll can know. */
async function fillResting(
  ground: Ground,
  index: number,
  prefix: string,
  fills: number,
): Promise<void> {
  const { accounts } = await ground.ledger()
  const orders = (accounts[keyOf(index)]?.orders ?? []) as readonly Record<string, string>[]
  const chosen = orders
    .filter(({ client_order_id: id = '' }) => id.includes(`-0.0-${prefix}`))
    .slice(0, fills)
  for (const [n, { id = '' }] of chosen.entries()) {
    await ground.control('POST', `orders/${id}/fill`, {})
    await pause(300 + ((n * 7919) % 700))
  }
}

/** Requests that an account received in the window, a minute. */
async function requestsAMinute(
  ground: Ground,
  indices: readonly number[],
): Promise<Map<number, number>> {
  const startMs = Date.now()
  await pause(WINDOW_MS)
  const { requests } = await ground.ledger()
  const counted = new Map(indices.map((index) => [index, 0]))
  for (const { keyId, at } of requests as readonly { keyId?: string; at: string }[])
    for (const index of indices)
      if (keyId === keyOf(index) && Date.parse(at) >= startMs)
        counted.set(index, (counted.get(index) ?? 0) + 1)
  return counted
}

/** @throws {Error} a flag is wrong, or something did not start */
export async function benchDetection(args: readonly string[]): Promise<boolean> {
  const option = (fallback: string) => ({ type: 'string', default: fallback }) as const
  const { values } = parseArgs({
    args: [...args],
    options: { fills: option('40'), open: option('1500') },
  })
  const fills = limited('fills', values.fills)
  const open = limited('open', values.open)
  await using ground = await Ground.open({
    seed: 'detection',
    users: 3,
    workers: 1,
    sandboxArgs: ['--no-partial-fills', '--fill-delay-ms', '250', '--tick-ms', '0'],
  })
  const say = (name: string, value: string): void =>
    void process.stdout.write(`${name.padEnd(46)}${value}\n`)
  await ground.control('POST', 'faults', { kind: 'lose_events', stream: 'trade', count: 1_000_000 })
  for (let n = 0; n < fills; n += 1) {
    await submit(ground, RESTING, `r${n}`, { orderType: 'limit' })
    await submit(ground, CROWDED, `c${n}`, { orderType: 'limit' })
  }
  for (let n = fills; n < open; n += 1) await ground.placeElsewhere(CROWDED, CROWD)
  await allPlaced(ground, CROWDED, Math.max(open, fills))
  for (let n = 0; n < fills; n += 1) {
    await submit(ground, IN_FLIGHT, `f${n}`, { orderType: 'market' })
    await pause(500)
  }
  await pause(REST_MS)
  await Promise.all([
    fillResting(ground, RESTING, 'r', fills),
    fillResting(ground, CROWDED, 'c', fills),
  ])
  let isWithin = true
  for (const [name, index, prefix, bound] of [
    ['in flight', IN_FLIGHT, 'f', IN_FLIGHT_MS_MAX],
    ['resting', RESTING, 'r', RESTING_MS_MAX],
    [`resting among ${open}`, CROWDED, 'c', RESTING_MS_MAX],
  ] as const) {
    const delays = await delaysOf(ground, index, prefix, fills)
    const p50 = delays[Math.floor(delays.length / 2)] ?? NaN
    const worst = delays.at(-1) ?? NaN
    isWithin &&= delays.length === fills && worst <= bound
    say(
      `dropped fill to the log, ${name}`,
      `p50 ${p50} ms, worst ${worst} ms (bound ${bound}), ${delays.length} fills`,
    )
  }
  const requests = await requestsAMinute(ground, [RESTING, CROWDED])
  for (const [index, name] of [
    [RESTING, 'few'],
    [CROWDED, `about ${open}`],
  ] as const) {
    const count = requests.get(index) ?? NaN
    isWithin &&= count <= REQUESTS_A_MINUTE_MAX
    say(`requests a minute, ${name} open orders`, `${count} (bound ${REQUESTS_A_MINUTE_MAX})`)
  }
  say('machine', `${availableParallelism()} cores, load average ${(loadavg()[0] ?? 0).toFixed(1)}`)
  return isWithin
}

async function allPlaced(ground: Ground, index: number, orders: number): Promise<void> {
  const deadlineMs = performance.now() + PLACED_MS_MAX
  for (;;) {
    const { accounts } = await ground.ledger()
    if ((accounts[keyOf(index)]?.orders.length ?? 0) >= orders) return
    if (performance.now() > deadlineMs)
      throw new Error(`only some of ${orders} orders were placed in time`)
    await pause(2_000)
  }
}
