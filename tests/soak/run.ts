// A soak: real Redis, real queues, the sandbox over HTTP and WebSocket, several workers, faults on, and a worker killed every few
// seconds. At the end the broker's ledger, our state and what clients were told are compared field by field.
//   npm run soak -- --orders 20000 --accounts 50 --seed 1
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createReader } from '#store'
import { Ground, keyOf } from '../support/ground.ts'
import { emptyVerdict, judge, type Verdict } from './judge.ts'
import { type SoakRequest, soakRequests } from './requests.ts'
import { LogTail } from './tail.ts'

const USAGE = `Usage: npm run soak -- [options]
  --orders N         orders (default 20000); cancels, replaces and repeats come on top
  --accounts N       users, with one broker account each (default 50)
  --seed TEXT        draws the orders, the faults and the kills (default 1)
  --rate N           orders a second (default 100)
  --workers N        worker processes (default 2)
  --kill-every N     seconds between kills, 0: none (default 5)
  --faults PERCENT   of requests and stream events that fail (default 2)`

const LIMITS = { orders: 100_000, accounts: 500, rate: 1_000, workers: 8, 'kill-every': 600, faults: 20 } as const
/** How long state may take to agree with the ledger once nothing fails any more. */
const SETTLE_MS_MAX = 240_000
const LOOK_MS = 2_000
const TAIL_MS = 250
const SHOWN_MAX = 20
/** A resting order is moved to here, and goes on resting. */
const REPLACED_PRICE = '1.5'

function number(flag: keyof typeof LIMITS, text: string, min = 1): number {
  const value = Number(text)
  if (/^\d{1,6}(\.\d)?$/.test(text) && value >= min && value <= LIMITS[flag]) return value
  throw new Error(`--${flag} must be a number from ${min} to ${LIMITS[flag]}, not "${text}"\n${USAGE}`)
}

function readOptions() {
  const text = (fallback: string) => ({ type: 'string', default: fallback }) as const
  const { values } = parseArgs({
    options: {
      ...{ orders: text('20000'), accounts: text('50'), seed: text('1'), rate: text('100'), workers: text('2') },
      ...{ 'kill-every': text('5'), faults: text('2') },
    },
  })
  return {
    orders: number('orders', values.orders),
    users: number('accounts', values.accounts),
    seed: values.seed,
    rate: number('rate', values.rate),
    workers: number('workers', values.workers),
    killEveryMs: number('kill-every', values['kill-every'], 0) * 1_000,
    faultShare: number('faults', values.faults, 0) / 100,
  }
}

type Options = ReturnType<typeof readOptions>

async function ask({ producer }: Ground, request: SoakRequest): Promise<void> {
  if (request.type === 'submit') return void (await producer.submitOrder(request.order))
  const { type, ...about } = request
  if (type === 'cancel') return void (await producer.cancelOrder(about))
  await producer.replaceOrder({ ...about, limitPrice: REPLACED_PRICE })
}

/** Sends everything at the wanted rate, killing workers on the way. */
async function load(ground: Ground, options: Options): Promise<void> {
  const { seed, orders, users, rate, killEveryMs } = options
  const startMs = performance.now()
  let kill: Promise<void> = Promise.resolve()
  let killAtMs = killEveryMs === 0 ? Infinity : startMs + killEveryMs
  let sent = 0
  for (const request of soakRequests(seed, orders, users)) {
    if (request.type === 'submit') sent += 1
    while (performance.now() < startMs + (sent / rate) * 1_000) await pause(1)
    if (performance.now() > killAtMs) {
      killAtMs = performance.now() + killEveryMs
      kill = kill.then(() => ground.killOne())
    }
    await ask(ground, request)
  }
  await kill
}

async function judgeAll(ground: Ground, tail: LogTail): Promise<Verdict> {
  const reader = createReader(ground.redis.connect())
  await tail.catchUp()
  const ledger = await ground.ledger()
  const verdict = emptyVerdict()
  for (const [n, userId] of ground.users.entries()) {
    const account = ledger.accounts[keyOf(n)]
    if (account === undefined) throw new Error(`the ledger has no account of ${userId}`)
    const snapshot = await reader.snapshot(userId)
    judge({ userId, ledger: account, snapshot, archived: [], told: tail.entries.get(userId) ?? [] }, verdict)
  }
  if (tail.holes > 0) verdict.differences.push(`${tail.holes} breaks in the chain of event ids`)
  return verdict
}

const isClean = ({ differences, duplicateOrders, missingFills, repeatedFills }: Verdict): boolean =>
  differences.length + duplicateOrders + missingFills + repeatedFills === 0

async function soak(options: Options): Promise<boolean> {
  await using ground = await Ground.open(options)
  await ground.setFaults(options.faultShare)
  const tail = new LogTail(createReader(ground.redis.connect()), ground.users)
  const stopTail = new AbortController()
  const tailing = (async () => {
    while (!stopTail.signal.aborted) {
      await tail.catchUp()
      await pause(TAIL_MS)
    }
  })()
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  const startMs = performance.now()
  await load(ground, options)
  say(
    `everything was asked for in ${Math.round((performance.now() - startMs) / 1_000)} s; ${ground.kills} workers were killed`,
  )
  await ground.setFaults(0)
  const quietMs = performance.now()
  let verdict = await judgeAll(ground, tail)
  while (!isClean(verdict) && performance.now() - quietMs < SETTLE_MS_MAX) {
    await pause(LOOK_MS)
    verdict = await judgeAll(ground, tail)
  }
  stopTail.abort()
  await tailing
  say(`state was compared ${Math.round((performance.now() - quietMs) / 1_000)} s after the last fault`)
  for (const difference of [...verdict.differences, ...verdict.fills].slice(0, SHOWN_MAX)) say(`  ${difference}`)
  const { differences, duplicateOrders, missingFills, repeatedFills } = verdict
  say(
    `soak: ${options.orders} orders, ${options.users} accounts, seed ${options.seed}: ${differences.length} differences, ` +
      `${duplicateOrders} duplicate orders, ${missingFills} missing fills, ${repeatedFills} repeated fills`,
  )
  return isClean(verdict)
}

process.exitCode = (await soak(readOptions()).catch((error: unknown) => {
  process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n`)
  return false
}))
  ? 0
  : 1
