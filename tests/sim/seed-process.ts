// One process of the farm: runs the seeds that it is sent, with a defect planted if it was given
// the name of one.
import type { SeedOrder } from './farm.ts'
import { plant } from './planted.ts'

const [name] = process.argv.slice(2)
if (name !== undefined) plant(name)
// Only now: what is planted must be there before the code is read.
const { simulate } = await import('./simulation.ts')

process.on('message', (order: SeedOrder) => {
  void simulate({ seed: order.seed, faults: new Set(order.faults) }).then((result) =>
    process.send?.(result),
  )
})
