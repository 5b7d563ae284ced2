import type { ConnectionRef } from '#store'
import type { Outside } from './outside.ts'
import type { Watch } from './process.ts'
import type { RelayDefect } from './relay.ts'
import type { WorkerRole } from './worker.ts'

/** The initial state of a world. */
export type WorldOptions = Readonly<{
  seed: number
  workers?: number
  roles?: readonly WorkerRole[]
  /** Default: u1 with broker_1. */
  accounts?: readonly ConnectionRef[]
  /** Default: true, the accounts have had their first reading. */
  isAdopted?: boolean
  /** A planted defect: replaces the broker for every worker. */
  planted?: Outside['planted']
  /** Default: alarm. */
  overExit?: Outside['overExit']
  /**
   * Workers tell the time of Redis and read what connections there are, as in production. Default:
   * they know both at once.
   */
  isWhole?: boolean
  /**
   * A defect that is planted in a whole world: workers tell the time by the clocks of their
   * machines. Default: false.
   */
  trustsMachine?: boolean
  /** Every user has a client at a relay. Default: false. */
  clients?: boolean
  /** A defect that is planted in every relay. */
  relayDefect?: RelayDefect
  /** The wall clock at the start. Default: a Friday, 10:00 in New York, market open. */
  startMs?: number
  /** Sees every call and every step beside the rules, and judges nothing. */
  observer?: Observer
}>

/**
 * How long everything may take to come to rest, how long it is watched then, and how soon it is
 * looked whether it has.
 */
export type RestOptions = Readonly<{ withinMs?: number; stayMs?: number; lookMs?: number }>

/** An observer of a run: `step` is called before each step, `afterStep` after it. */
export type Observer = Watch &
  Readonly<{ step(owner: string, label: string): void; afterStep(): void }>
