import { closeAll } from './commands.ts'
import { type Deed, pickRef, type Sim } from './deed.ts'
import { place } from './orders.ts'
import { executeTrade } from './venue.ts'

// What a queue may do with a job that it promises to deliver at least once.

const pickJob = ({ world, chance }: Sim): string | undefined => chance.pick(world.queue.ids())
const pickOpen = ({ world, chance }: Sim): string | undefined => chance.pick(world.queue.open())?.id

/** The longest time that jobs wait before they are delivered. */
const LATE_MS_MAX = 20_000
/** What was closed is closed by then, and what was placed can execute. */
const OPENED_MS = 1_500

export const jobs: readonly Deed[] = [
  {
    name: 'deliver a job again',
    weight: 2,
    fault: 'queue',
    run(sim) {
      const id = pickJob(sim)
      if (id !== undefined) sim.world.queue.redeliver(id)
      return id !== undefined
    },
  },
  {
    name: 'lose the lock of a job',
    weight: 2,
    fault: 'queue',
    run(sim) {
      const { world, chance } = sim
      // A job is run within moments: the lock is lost at one of its next steps.
      world.at('store.commit', () => sim.world.queue.loseLocks(), chance.below(4))
      return true
    },
  },
  {
    name: 'deliver a close of all again, once something new is held',
    weight: 1,
    fault: 'queue',
    run(sim) {
      const { world } = sim
      const ref = pickRef(sim)
      const jobId = closeAll(sim, ref)
      world.later(OPENED_MS, () => {
        const opened = place(sim, { side: 'buy', quantity: '5' }, undefined, ref)
        world.later(OPENED_MS, () => executeTrade(sim, opened, '180'))
        world.later(2 * OPENED_MS, () => world.queue.redeliver(jobId))
      })
      return true
    },
  },
  {
    name: 'deliver late',
    weight: 1,
    fault: 'queue',
    run({ world, chance }) {
      world.queue.lateMs = chance.below(LATE_MS_MAX)
      world.later(chance.below(LATE_MS_MAX), () => (world.queue.lateMs = 0))
      return true
    },
  },
  {
    name: 'give up a job',
    weight: 1,
    fault: 'queue',
    run(sim) {
      const id = pickOpen(sim)
      if (id !== undefined) sim.world.queue.giveUp(id)
      return id !== undefined
    },
  },
  {
    name: 'ask again for a trade whose job is gone',
    weight: 1,
    fault: 'queue',
    run({ world, chance }) {
      const job = chance.pick(world.queue.completed().filter(({ name }) => name === 'submitOrder'))
      if (job === undefined) return false
      world.queue.forget(job.id)
      world.queue.add('orders', job.name, job.data, job.id)
      return true
    },
  },
]
