// What happens to clients when everything around them breaks. Real Redis, relays as processes, plain clients.
//   npm run chaos -- storm            connections, Redis links and relays are cut and killed while events are told
//   npm run chaos -- restart          one of two relays restarts with all of the clients on it
import { parseArgs } from 'node:util'
import { wholeNumber } from '../support/flags.ts'
import { inWords, isClean } from './judge.ts'
import { restart } from './restart.ts'
import { storm } from './storm.ts'

const USAGE = `Usage: npm run chaos -- storm [--users 100] [--events 20000] [--rate 300] [--relays 3] [--cuts 8] [--kill-every 5] [--seed 1]
       npm run chaos -- restart [--clients 2000] [--crash]`

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const text = (fallback: number) => ({ type: 'string', default: String(fallback) }) as const

const number = (flag: string, value: string, max: number): number => wholeNumber(flag, value, max, USAGE)

async function runStorm(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      ...{ users: text(100), events: text(20_000), rate: text(300), relays: text(3), cuts: text(8), seed: text(1) },
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
  say(`clients connected ${connects} times; ${relaysKilled} relays killed; Redis links cut ${subscriptionCuts} times`)
  say(`everything was heard ${(settledMs / 1_000).toFixed(1)} s after the last event`)
  say(`storm: ${report.events} events, ${values.users} users: ${inWords(differences)}`)
  return isClean(differences)
}

async function runRestart(args: string[]): Promise<boolean> {
  const { values } = parseArgs({ args, options: { clients: text(2_000), crash: { type: 'boolean', default: false } } })
  const clients = number('clients', values.clients, 10_000)
  const { caughtUpMs, stayedAway, differences } = await restart({ clients, isCrash: values.crash })
  const at = (share: number): string => `${Math.round(caughtUpMs[Math.ceil(caughtUpMs.length * share) - 1] ?? NaN)} ms`
  say(`from the cut to the missed event: p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, all ${at(1)}`)
  say(`restart: ${clients} clients, ${stayedAway} not back: ${inWords(differences)}`)
  return isClean(differences) && stayedAway === 0
}

const [name = '', ...args] = process.argv.slice(2)
const runs = new Map([
  ['storm', runStorm],
  ['restart', runRestart],
])
const run = runs.get(name)
try {
  if (run === undefined) throw new Error(USAGE)
  process.exitCode = (await run(args)) ? 0 : 1
} catch (error) {
  process.stderr.write(`chaos: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
