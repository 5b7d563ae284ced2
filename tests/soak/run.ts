// A soak: real Redis, real queues, the sandbox over HTTP and WebSocket, several workers, faults on,
// and a worker killed every few seconds. At the end the broker's ledger, our state and what clients
// were told are compared field by field.
//   npm run soak -- --orders 20000 --accounts 50 --seed 1
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createReader } from '#store'
import { Ground } from '../support/ground.ts'
import { ask, soakRequests } from './requests.ts'
import { findings, inWords, isClean, settle } from './settle.ts'
import { LogTail } from './tail.ts'

const USAGE = `Usage: npm run soak -- [options]
  --orders N         orders (default 20000); cancels, replaces and repeats come on top
  --accounts N       users, with one broker account each (default 50)
  --seed TEXT        draws the orders, the faults and the kills (default 1)
  --rate N           orders a second (default 100)
  --workers N        worker processes (default 2)
  --kill-every N     seconds between kills, 0: none (default 5)
  --faults PERCENT   of requests and stream events that fail (default 2)`

const LIMITS = {
  orders: 100_000,
  accounts: 500,
  rate: 1_000,
  workers: 8,
  'kill-every': 600,
  faults: 20,
} as const

function number(flag: keyof typeof LIMITS, text: string, min = 1): number {
  const value = Number(text)
  if (/^\d{1,6}(\.\d)?$/.test(text) && value >= min && value <= LIMITS[flag]) return value
  throw new Error(
    `--${flag} must be a number from ${min} to ${LIMITS[flag]}, not "${text}"\n${USAGE}`,
  )
}

function readOptions() {
  const text = (fallback: string) => ({ type: 'string', default: fallback }) as const
  const { values } = parseArgs({
    options: {
      orders: text('20000'),
      accounts: text('50'),
      seed: text('1'),
      rate: text('100'),
      workers: text('2'),
      'kill-every': text('5'),
      faults: text('2'),
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
    await ask(ground.producer, request)
  }
  await kill
}

async function soak(options: Options): Promise<boolean> {
  await using ground = await Ground.open(options)
  await ground.setFaults(options.faultShare)
  const tail = new LogTail(createReader(ground.redis.connect()), ground.users)
  const stopTail = tail.follow()
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  const startMs = performance.now()
  await load(ground, options)
  say(
    `everything was asked for in ${Math.round((performance.now() - startMs) / 1_000)} s; ${ground.kills} workers were killed`,
  )
  await ground.setFaults(0)
  const { verdict, settledMs } = await settle(ground, tail)
  await stopTail()
  if (tail.takenBack > 0) verdict.differences.push(`${tail.takenBack} events were taken back`)
  if (ground.drifts > 0)
    verdict.differences.push(`${ground.drifts} holdings had drifted for a while`)
  say(`state was compared ${Math.round(settledMs / 1_000)} s after the last fault`)
  for (const found of findings(verdict)) say(`  ${found}`)
  say(
    `soak: ${options.orders} orders, ${options.users} accounts, seed ${options.seed}: ${inWords(verdict)}`,
  )
  return isClean(verdict)
}

process.exitCode = (await soak(readOptions()).catch((error: unknown) => {
  process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n`)
  return false
}))
  ? 0
  : 1
