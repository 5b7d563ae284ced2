import type { Redis } from 'ioredis'
import { z } from 'zod'
import { connectionIdSchema, type LimitsRequest, limitsSchema, userIdSchema } from '#contract'
import { hasRequestUnderWay, type Order, type RiskLimits } from '#domain'
import { type Clock, isoTime, type Logger, systemRandomness } from '#runtime'
import {
  type Controls,
  type ControlScope,
  createControls,
  createReader,
  createStoreEpoch,
  type Halt,
} from '#store'
import { available, parse } from './request.ts'

/** The scope of a limit or a halt: one connection, one user, or, without both ids, all users. */
export type ControlTarget = Readonly<{
  userId?: string | undefined
  connectionId?: string | undefined
}>

/** A halt of one scope. */
export type HaltRequest = ControlTarget &
  Readonly<{
    /**
     * `reducing`: orders that only reduce a position are still sent. `nothing` (default): no order
     * is sent. Cancels are always sent.
     */
    allows?: Halt['allows']
    /**
     * `by` (1 to 128 characters) and `reason` (1 to 200) are stored. A user whose order is refused
     * is sent `reason`.
     */
    by: string
    reason: string
    /**
     * How long the call waits for orders in progress, in milliseconds. Default 10,000, at most
     * 300,000; 0 does not wait.
     */
    waitMs?: number
  }>

/**
 * The state after the wait. A request is in progress until its outcome is known or its order is
 * quarantined.
 * - `isComplete` true: every order, and every replacement, that was in progress when the halt was
 *   written has its outcome or is quarantined, and the halt is in force. No more requests are sent.
 * - `waitingFor` above 0: the number of orders without an outcome. To wait on, repeat the call; the
 *   same halt is harmless.
 * - `isComplete` false and `waitingFor` 0: the halt was ended or replaced during this call; `halts`
 *   returns the halts in force.
 */
export type HaltResult = Readonly<{ isComplete: boolean; waitingFor: number }>

/**
 * Limits and halts.
 * @throws {InvalidRequestError} every method: the request has a wrong field
 * @throws {UnavailableError} every method: Redis did not answer
 */
export interface ControlCommands {
  limits: {
    /**
     * Replaces the limits of a user or of one connection; `null` removes the limits. Workers apply
     * the new limits to orders that they start a second later or after.
     */
    set(target: LimitsTarget, limits: LimitsRequest | null): Promise<void>
    /** The limits of exactly this target; `null`: no limits. */
    get(target: LimitsTarget): Promise<RiskLimits | null>
  }
  /** Halts a target and waits for the orders in progress. */
  halt(request: HaltRequest): Promise<HaltResult>
  /** Ends the halt of exactly this target. */
  resume(target: ControlTarget): Promise<void>
  /**
   * Allows work on a store that workers found empty (`STORE_EXPECTED=1`, state `store_lost`). Call
   * it once accounts are connected, limits and halts are set again. Harmless if the store is not
   * lost.
   * @returns `isNew`: `false` if the store was accepted before
   */
  acceptStore(request: Readonly<{ by: string; reason: string }>): Promise<{ isNew: boolean }>
  /** The halts that apply to a target, the widest first. */
  halts(target: ControlTarget): Promise<readonly Halt[]>
}

/** The user, or one connection of the user. */
export type LimitsTarget = ControlTarget & Readonly<{ userId: string }>

const WAIT_MS = 10_000
const WAIT_MS_MAX = 300_000
const LOOK_EVERY_MS = 100
const USERS_PER_PAGE = 200

const target = { userId: userIdSchema.optional(), connectionId: connectionIdSchema.optional() }
const named = <Shape extends z.ZodObject>(schema: Shape) =>
  schema.refine(({ userId, connectionId }) => connectionId === undefined || userId !== undefined, {
    path: ['userId'],
    error: 'say whose connection it is',
  })
const targetSchema = named(z.strictObject(target))
const limitsTargetSchema = z.strictObject({ ...target, userId: userIdSchema })
const acceptSchema = z.strictObject({
  by: z.string({ error: 'say who accepts it' }).min(1).max(128),
  reason: z.string({ error: 'say why' }).min(1).max(500),
})
const haltSchema = named(
  z.strictObject({
    ...target,
    allows: z
      .enum(['nothing', 'reducing'], { error: 'must be nothing or reducing' })
      .default('nothing'),
    by: z.string({ error: 'say who halts' }).min(1).max(128),
    reason: z.string({ error: 'say why' }).min(1).max(200),
    waitMs: z.int().min(0).max(WAIT_MS_MAX).default(WAIT_MS),
  }),
)

const scopeOf = ({ userId, connectionId }: ControlTarget): ControlScope => {
  if (userId === undefined) return { scope: 'global' }
  return connectionId === undefined
    ? { scope: 'user', userId }
    : { scope: 'connection', userId, connectionId }
}

/** Limits and halts over one Redis connection. */
export function createControlCommands(redis: Redis, clock: Clock, log: Logger): ControlCommands {
  const controls = createControls(redis)
  const epoch = createStoreEpoch(redis, () => systemRandomness.id(12))
  const limitsScope = (of: LimitsTarget) =>
    scopeOf(parse(limitsTargetSchema, of)) as Exclude<ControlScope, { scope: 'global' }>
  return {
    limits: {
      async set(of, limits) {
        const scope = limitsScope(of)
        await available(
          controls.setLimits(scope, limits === null ? null : parse(limitsSchema, limits)),
        )
      },
      async get(of) {
        const scope = limitsScope(of)
        const { limits } = await available(controls.read(scope.userId))
        return scope.scope === 'user'
          ? limits.user
          : (limits.byConnection.get(scope.connectionId) ?? null)
      },
    },

    async halt(request) {
      const { allows, by, reason, waitMs, ...of } = parse(haltSchema, request)
      const made: HaltMade = { allows, by, reason, at: isoTime(clock.now()) }
      await available(controls.setHalt(scopeOf(of), made))
      const waitingFor = await available(awaitOutcomes(redis, controls, of, clock, waitMs))
      // The halt is read after the last count: an order that is sent after the end of the halt is
      // in no count.
      const isComplete = waitingFor === 0 && isThat(made, await available(readHaltOf(controls, of)))
      return { isComplete, waitingFor }
    },

    resume: async (of) => available(controls.setHalt(scopeOf(parse(targetSchema, of)), null)),

    async acceptStore(request) {
      const { by, reason } = parse(acceptSchema, request)
      const isNew = (await available(epoch.read())) === null
      await available(epoch.mint())
      log.warn({ by, reason, isNew }, 'store.accepted')
      return { isNew }
    },

    async halts(of) {
      const { userId, connectionId } = parse(targetSchema, of)
      const found = [await available(controls.readGlobalHalt())]
      if (userId !== undefined) {
        const { halts } = await available(controls.read(userId))
        found.push(
          halts.user,
          connectionId === undefined ? null : (halts.byConnection.get(connectionId) ?? null),
        )
      }
      return found.flatMap((halt) => halt ?? [])
    },
  }
}

type HaltMade = Omit<Halt, 'schema' | 'scope' | 'revision'>

const isThat = ({ allows, by, reason, at }: HaltMade, halt: Halt | null): boolean =>
  halt !== null &&
  halt.at === at &&
  halt.by === by &&
  halt.reason === reason &&
  halt.allows === allows

/** The halt of exactly this target. */
async function readHaltOf(
  controls: Controls,
  { userId, connectionId }: ControlTarget,
): Promise<Halt | null> {
  if (userId === undefined) return controls.readGlobalHalt()
  const { halts } = await controls.read(userId)
  return connectionId === undefined ? halts.user : (halts.byConnection.get(connectionId) ?? null)
}

/**
 * Waits until every claim, and every replacement that was sent, before the halt has its outcome. A
 * later claim is refused by the same script that would have written it. Under a global halt, the
 * worker reads the halt before it sends the order. So the claims found now are all claims to wait
 * for.
 * @returns the number of orders without an outcome when the wait ended
 */
async function awaitOutcomes(
  redis: Redis,
  controls: Controls,
  { userId, connectionId }: ControlTarget,
  clock: Clock,
  waitMs: number,
): Promise<number> {
  const reader = createReader(redis)
  const isOpen = async (user: string): Promise<number> => {
    const { orders } = await reader.snapshot(user)
    const isOf = (order: Order): boolean =>
      connectionId === undefined || order.connectionId === connectionId
    return orders.filter((order) => isOf(order) && hasRequestUnderWay(order)).length
  }
  let users = userId === undefined ? await everybody(controls) : [userId]
  const untilMs = clock.monotonicMs() + waitMs
  for (;;) {
    const counts: [user: string, count: number][] = []
    for (const user of users) counts.push([user, await isOpen(user)])
    const waitingFor = counts.reduce((sum, [, count]) => sum + count, 0)
    if (waitingFor === 0 || clock.monotonicMs() >= untilMs) return waitingFor
    users = counts.filter(([, count]) => count > 0).map(([user]) => user)
    await clock.sleep(LOOK_EVERY_MS)
  }
}

async function everybody(controls: Controls): Promise<string[]> {
  const users = new Set<string>()
  for (let from = 0; ;) {
    const page = await controls.changedSince(from, USERS_PER_PAGE)
    const before = users.size
    for (const { userId, position } of page) {
      users.add(userId)
      from = position
    }
    if (page.length < USERS_PER_PAGE || users.size === before) return [...users]
  }
}
