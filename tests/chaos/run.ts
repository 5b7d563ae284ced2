// What happens when everything around them breaks, to clients and to orders. Real Redis; relays,
// workers and sandbox as processes.
//   npm run chaos -- storm            connections, Redis links and relays are cut and killed
//   npm run chaos -- restart          one of two relays restarts with all of the clients on it
//   npm run chaos -- redis            Redis is killed and loses its last second, while orders flow
import { parseArgs } from 'node:util'
import { wholeNumber } from '../support/flags.ts'
import { inWords, isClean } from './judge.ts'
import { findings, inWords as verdictInWords, isClean as isLevel } from '../soak/settle.ts'
import { killRedisAtRandom } from './redis.ts'
import { restart } from './restart.ts'
import { storm } from './storm.ts'

const USAGE = `Usage: npm run chaos -- storm [--users 100] [--events 20000] [--rate 300] [--relays 3] [--cuts 8] [--kill-every 5] [--seed 1]
       npm run chaos -- restart [--clients 2000] [--crash]
       npm run chaos -- redis [--kills 20] [--users 20] [--rate 20] [--seed 1]`

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const text = (fallback: number) => ({ type: 'string', default: String(fallback) }) as const

const number = (flag: string, value: string, max: number): number =>
  wholeNumber(flag, value, max, USAGE)

async function runStorm(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      users: text(100),
      events: text(20_000),
      rate: text(300),
      relays: text(3),
      cuts: text(8),
      seed: text(1),
      'kill-every': text(5),
    },
  })
  const report = await storm({
    users: number('users', values.users, 1_000),
    events: number('events', values.events, 500_000),
    rate: number('rate', values.rate, 10_000),
    relays: number('relays', values.relays, 8),
    cuts: number('cuts', values.cuts, 1_000),
    killEveryMs: number('kill-every', values['kill-every'], 600) * 1_000,
    seed: number('seed', values.seed, 999_999),
  })
  const { connects, relaysKilled, subscriptionCuts, settledMs, differences } = report
  say(
    `clients connected ${connects} times; ${relaysKilled} relays killed; Redis links cut ${subscriptionCuts} times`,
  )
  say(`everything was heard ${(settledMs / 1_000).toFixed(1)} s after the last event`)
  say(`storm: ${report.events} events, ${values.users} users: ${inWords(differences)}`)
  return isClean(differences)
}

async function runRestart(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: { clients: text(2_000), crash: { type: 'boolean', default: false } },
  })
  const clients = number('clients', values.clients, 10_000)
  const { caughtUpMs, stayedAway, differences } = await restart({ clients, isCrash: values.crash })
  const at = (share: number): string =>
    `${Math.round(caughtUpMs[Math.ceil(caughtUpMs.length * share) - 1] ?? NaN)} ms`
  say(
    `from the cut to the missed event: p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, all ${at(1)}`,
  )
  say(`restart: ${clients} clients, ${stayedAway} not back: ${inWords(differences)}`)
  return isClean(differences) && stayedAway === 0
}

async function runRedis(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: { kills: text(20), users: text(20), rate: text(20), seed: text(1) },
  })
  const report = await killRedisAtRandom({
    kills: number('kills', values.kills, 500),
    users: number('users', values.users, 100),
    rate: number('rate', values.rate, 100),
    seed: String(number('seed', values.seed, 999_999)),
  })
  const { verdict, trades, cuts, bytesLost, eventsLost, repeats, untold, drifts, settledMs } =
    report
  say(
    `${cuts} times the end of what was written was lost too, ${Math.round(bytesLost / 1_024)} KiB in all, ${eventsLost} told events in it`,
  )
  say(
    `state was compared ${Math.round(settledMs / 1_000)} s after the last kill; ${repeats} trades were asked for again, ${untold} are not known; ${drifts} holdings had drifted for a while`,
  )
  for (const found of findings(verdict)) say(`  ${found}`)
  say(
    `redis: killed ${values.kills} times, ${trades} orders, seed ${values.seed}: ${verdictInWords(verdict)}`,
  )
  return isLevel(verdict) && untold === 0 && drifts === 0
}

const [name = '', ...args] = process.argv.slice(2)
const runs = new Map([
  ['storm', runStorm],
  ['restart', runRestart],
  ['redis', runRedis],
])
const run = runs.get(name)
try {
  if (run === undefined) throw new Error(USAGE)
  process.exitCode = (await run(args)) ? 0 : 1
} catch (error) {
  process.stderr.write(`chaos: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
