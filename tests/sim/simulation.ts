import type { ConnectionRef } from '#store'
import { type Observer, openWorld, type World } from '../scenarios/world.ts'
import { Chance } from '../scenarios/world/chance.ts'
import { watchedBy } from '../scenarios/world/process.ts'
import {
  chooseDeeds,
  drawDeed,
  execute,
  type FaultGroup,
  settlePending,
  type Sim,
  submitSimple,
} from './deeds/index.ts'
import { Happenings } from './happenings.ts'
import { drawSetting, furnish, type Setting } from './setting.ts'
import type { Timeline } from './timeline.ts'

/** The limit of the value of a position, of every other user: 100 shares at the quoted price. */
const POSITION_MAX = '18000'
/** How often a job that puts itself back is delivered on time; later deliveries are late. */
const SOON_TIMES = 12
/** The time until a limit is in force. */
const HEARD_MS = 2_000
/** The number of executions at the end of a run that no stream reports. */
const UNHEARD = 4
/** The absence of an unknown order is proved only after a quarter of an hour (SUB-05). */
const REST_MS = 25 * 60_000
/** The time after the end of the faults in which pending calls complete. */
const CALM_MS = 10_000
/** How often quiescence is checked, and how long it must last, in most runs. */
const LOOK_MS = 15_000
const STAY_MS = 20_000
/** The same for runs that wait as long as any work may ever take. */
const PATIENT_MS = 240_000

/** The options of a run. `timeline`: records all steps; default: no record. */
export type SimulationOptions = Readonly<{
  seed: number
  faults: ReadonlySet<FaultGroup>
  timeline?: Timeline
}>

/** The result of a run. `counts`: of situations, by name. `violation`: the broken rule or null. */
export type SimulationResult = Readonly<{
  seed: number
  trace: string
  steps: number
  counts: Readonly<Record<string, number>>
  violation: string | null
}>

/**
 * One run: a setting, random deeds, then calm until quiescence. The rules are checked at every
 * step. The same seed with the same faults gives the same run, step by step.
 */
export async function simulate({
  seed,
  faults,
  timeline,
}: SimulationOptions): Promise<SimulationResult> {
  const chance = new Chance(seed * 7_919)
  const setting = drawSetting(chance)
  const happenings = new Happenings()
  const { accounts, startMs, workers } = setting
  const observer = timeline === undefined ? happenings : observedBy(happenings, timeline)
  const world = await openWorld({
    seed,
    clients: true,
    isWhole: true,
    workers,
    accounts,
    startMs,
    observer,
  })
  happenings.follow(world)
  timeline?.follow(world, accounts, startMs)
  let violation: string | null = null
  try {
    await begin(world, setting)
    await live({ world, chance, setting, trades: [] }, faults, (name) => {
      happenings.count(`deed ${name}`)
      timeline?.deed(name)
    })
  } catch (error) {
    violation = error instanceof Error ? error.message : String(error)
  }
  happenings.takeFrom(world, accounts)
  const { schedule } = world
  return {
    seed,
    trace: schedule.trace(),
    steps: schedule.steps,
    counts: happenings.counts,
    violation,
  }
}

const observedBy = (first: Observer, second: Observer): Observer => ({
  ...watchedBy(first, second),
  step(...step) {
    first.step(...step)
    second.step(...step)
  },
  afterStep() {
    first.afterStep()
    second.afterStep()
  },
})

async function begin(world: World, { accounts, symbols }: Setting): Promise<void> {
  world.queue.soonTimes = SOON_TIMES
  for (const ref of accounts) furnish(world.brokerOf(ref), symbols)
  const users = [...new Set(accounts.map(({ userId }) => userId))]
  for (const userId of users.filter((_, index) => index % 2 === 1))
    await world.limit(userId, { positionNotionalMax: POSITION_MAX })
  // Workers read new limits within a second.
  await world.advance(HEARD_MS)
}

async function live(
  sim: Sim,
  faults: ReadonlySet<FaultGroup>,
  tell: (deed: string) => void,
): Promise<void> {
  const { world, chance, setting } = sim
  const from = chooseDeeds(faults, chance)
  for (let count = 0; count < setting.deeds; count += 1) {
    const deed = drawDeed(from, chance)
    if (deed.run(sim)) tell(deed.name)
    await world.advance(chance.below(4) === 0 ? chance.below(20_000) : chance.below(400))
  }
  calm(sim)
  await world.advance(CALM_MS)
  if (chance.below(3) === 0) await goUnheard(sim)
  await world.quiesce({
    withinMs: REST_MS,
    ...(setting.isPatient ? { lookMs: PATIENT_MS } : { lookMs: LOOK_MS, stayMs: STAY_MS }),
  })
  await (setting.isPatient ? world.repeatAll() : world.repeatAll(STAY_MS))
}

/** Ends every fault at the broker, settles pending requests there, and makes the keys good. */
function calm({ world, setting: { accounts } }: Sim): void {
  world.accounts.mend()
  for (const ref of accounts) {
    const broker = world.brokerOf(ref)
    broker.mend()
    Object.assign(broker, {
      isMute: false,
      isDown: false,
      holdsCancels: false,
      holdsReplaces: false,
    })
    Object.assign(broker, { visibleAfterMs: 0, executionLagMs: 0, portfolioLagMs: 0 })
    broker.streams.release()
    broker.streams.repeat(1)
    settlePending(broker, true)
  }
}

/** All streams are mute, no other fault: polls find executions, streams are replaced (C8). */
async function goUnheard(sim: Sim): Promise<void> {
  const { world, setting } = sim
  void world.resume({}, ...userTargets(setting.accounts), ...setting.accounts) // they take effect as the time goes on
  for (const ref of setting.accounts) world.brokerOf(ref).isMute = true
  for (let count = 0; count < UNHEARD; count += 1) {
    submitSimple(sim)
    await world.advance(1_000)
    execute(sim)
    await world.advance(6_000)
  }
  for (const ref of setting.accounts) world.brokerOf(ref).isMute = false
}

const userTargets = (accounts: readonly ConnectionRef[]): { userId: string }[] =>
  [...new Set(accounts.map(({ userId }) => userId))].map((userId) => ({ userId }))
