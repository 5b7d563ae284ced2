import { type LimitsRequest, limitsSchema, type SubmitOrder } from '#contract'
import type { ControlCommands, HaltRequest, HaltResult } from '#producer'
import { isoTime } from '#runtime'
import type { ConnectionRef } from '#store'
import type { Accounts } from './accounts.ts'
import type { Conduct } from './conduct.ts'
import { Outcome } from './outcome.ts'
import type { ModelQueue } from './queue.ts'
import { cancelOf, submissionOf } from './requests.ts'
import type { Schedule } from './schedule.ts'
import type { HaltTarget } from './sending.ts'

/** The commands of users and operators: orders, cancels, halts, limits and removals. */
export abstract class UserCommands extends Outcome {
  abstract readonly schedule: Schedule
  abstract readonly queue: ModelQueue
  abstract readonly accounts: Accounts
  abstract readonly nowMs: number
  protected abstract readonly conduct: Conduct
  protected abstract readonly controls: ControlCommands
  protected readonly positionMaxima = new Map<string, number>()
  protected abstract refs(): ConnectionRef[]

  /**
   * Queues an order; returns the id of its job.
   * @param asJobId default: the job id of its trade
   */
  submit(order: Partial<SubmitOrder> = {}, asJobId?: string): string {
    const [name, payload, jobId] = submissionOf(order)
    return this.queue.add('orders', name, payload, asJobId ?? jobId)
  }

  /** Queues a cancel; returns the id of its job. */
  cancel(tradeId = 't1', commandId = 'c1', ref: ConnectionRef = this.firstRef()): string {
    return this.queue.add('commands', ...cancelOf(ref, tradeId, commandId))
  }

  /**
   * Halts as the trade API does. The promise resolves only while the time advances. Defaults: the
   * halt allows nothing, and waits up to 10 s for open outcomes.
   */
  async halt(target: HaltTarget = {}, over: Partial<HaltRequest> = {}): Promise<HaltResult> {
    const request = { by: 'ops', reason: 'drill', allows: 'nothing', ...target, ...over } as const
    const { losses } = this.store
    const made = { target, allows: request.allows, at: isoTime(this.nowMs), losses }
    this.conduct.sending.halting(made)
    const result = await this.schedule.enter(() => this.controls.halt(request))
    if (result.isComplete) await this.conduct.sending.completed(made, this.refs())
    return result
  }

  /** Limits a user from now on; S19 checks every execution against this limit. */
  async limit(userId: string, limits: LimitsRequest): Promise<void> {
    await this.store.controls.setLimits({ scope: 'user', userId }, limitsSchema.parse(limits))
    if (limits.positionNotionalMax != null)
      this.positionMaxima.set(userId, Number(limits.positionNotionalMax))
  }

  /** The limit of the notional value of a position of the user, or null. */
  positionMax(userId: string): string | null {
    return this.positionMaxima.get(userId)?.toString() ?? null
  }

  /** Limits one connection from now on. */
  async limitConnection(
    { userId, connectionId }: ConnectionRef,
    limits: LimitsRequest,
  ): Promise<void> {
    await this.store.controls.setLimits(
      { scope: 'connection', userId, connectionId },
      limitsSchema.parse(limits),
    )
  }

  /** Ends the halts of these targets; default: the global halt. */
  async resume(...targets: HaltTarget[]): Promise<void> {
    const { sending } = this.conduct
    for (const target of targets.length === 0 ? [{}] : targets) {
      sending.ending(target)
      await this.schedule.enter(() => this.controls.resume(target))
      sending.ending(target) // also ends a halt made during the call: their order is unknown
    }
  }

  /** Asks for a connection to be removed, as the producer does. */
  async disconnect(
    openOrders: 'cancel' | 'leave',
    ref: ConnectionRef = this.firstRef(),
  ): Promise<void> {
    await this.accounts.disconnect(ref, openOrders)
  }
}
