import type { Account } from '../broker/account.ts'
import type { Chance } from '../chance.ts'
import {
  type ArmedFault,
  type Fault,
  type OrderFaultKind,
  type RequestFaultKind,
  requestFaultKinds,
  type StreamFaultKind,
} from './fault.ts'

/**
 * The faults that are armed, and the faults that come by chance. Everything that can fail asks here
 * first. Invariants: a fault counts every thing it matches, fires at most `count` times, and is
 * gone after the last; one thing meets at most one fault, the one armed first. By chance only what
 * no armed fault met fails.
 */
export interface Faults {
  /** @param account only this account's @throws {RangeError} too many are armed */
  arm(fault: Fault, account: Account | undefined): ArmedFault
  armed(): readonly ArmedFault[]
  /** Forgets one, or all; answers how many. */
  disarm(id?: string): number
  onDisarm(listener: (id: string) => void): void
  /** Requests and events that fail by chance: share of all, 0 to 1. */
  chance: { share: number }
  request(
    request: Readonly<{ method: string; path: string; account: Account | undefined }>,
  ): Fault | undefined
  stream(
    kinds: readonly StreamFaultKind[],
    at: Readonly<{ stream: 'trade' | 'data' | 'events'; account: Account | undefined }>,
  ): StreamFault | undefined
  order(kind: OrderFaultKind, account: Account): Fault | undefined
}

/** A stream fault that fires now; `isLast` when it will not again. */
export type StreamFault = Readonly<{ id: string; kind: Fault['kind']; isLast: boolean }>

const FAULTS_ARMED_MAX = 1_000
/** Kinds that chance picks from: of requests, and of events on their way. */
const chanceRequestKinds = requestFaultKinds.filter((kind) => kind !== 'not_permitted')
const chanceEventKinds = ['close_stream', 'lose_events', 'duplicate_events'] as const
const chanceStatuses = [500, 503, 504] as const
const CHANCE_DELAY_MS_MAX = 5_000

type Arming = {
  readonly id: string
  readonly fault: Fault
  readonly account: Account | undefined
} & {
  seen: number
  fired: number
}

const withoutSlash = (path: string): string => path.replace(/\/+$/, '')

function fitsPath(pattern: string | undefined, path: string): boolean {
  if (pattern === undefined) return true
  return pattern.endsWith('*')
    ? path.startsWith(pattern.slice(0, -1))
    : withoutSlash(pattern) === withoutSlash(path)
}

const requestKinds: readonly string[] = requestFaultKinds
const fitsRequest = (fault: Fault, method: string, path: string): boolean =>
  requestKinds.includes(fault.kind) &&
  (fault.method === undefined || fault.method === method) &&
  fitsPath(fault.path, path)

/** How often a fault fires in all. */
const countOf = ({ kind, count }: Fault): number => count ?? (kind === 'reorder_events' ? 2 : 1)

/** @param chance every choice by chance comes from here, requests and events apart */
export function createFaults(chance: Chance, share: number): Faults {
  const armings = new Set<Arming>()
  const disarmListeners: ((id: string) => void)[] = []
  const requestChance = chance.fork('requests')
  const eventChance = chance.fork('events')
  const byChance = { share }
  let ids = 0

  /** Counts for all that match; answers the first whose turn it is. */
  const take = (
    account: Account | undefined,
    fits: (fault: Fault) => boolean,
  ): Arming | undefined => {
    let turn: Arming | undefined
    for (const arming of armings) {
      if (!fits(arming.fault) || (arming.account !== undefined && arming.account !== account))
        continue
      arming.seen += 1
      if (arming.seen >= (arming.fault.nth ?? 1)) turn ??= arming
    }
    if (turn === undefined) return undefined
    turn.fired += 1
    if (turn.fired >= countOf(turn.fault)) armings.delete(turn)
    return turn
  }
  const pick = <Kind>(from: Chance, kinds: readonly Kind[]): Kind | undefined =>
    byChance.share > 0 && from.fraction() < byChance.share
      ? kinds[from.integer(0, kinds.length - 1)]
      : undefined

  return {
    chance: byChance,
    arm(fault, account) {
      if (armings.size >= FAULTS_ARMED_MAX)
        throw new RangeError(`at most ${FAULTS_ARMED_MAX} faults wait at once`)
      if (fault.kind === 'refuse_upgrade' && account !== undefined) {
        throw new RangeError('refuse_upgrade knows no account: keys come after the upgrade')
      }
      const arming = { id: `fault-${(ids += 1)}`, fault, account, seen: 0, fired: 0 }
      armings.add(arming)
      return { ...fault, id: arming.id, seen: 0, fired: 0 }
    },
    armed: () => [...armings].map(({ id, fault, seen, fired }) => ({ ...fault, id, seen, fired })),
    disarm(id) {
      const gone = [...armings].filter((arming) => id === undefined || arming.id === id)
      for (const arming of gone) {
        armings.delete(arming)
        disarmListeners.forEach((listener) => listener(arming.id))
      }
      return gone.length
    },
    onDisarm: (listener) => void disarmListeners.push(listener),
    request({ method, path, account }) {
      const armed = take(account, (fault) => fitsRequest(fault, method, path))
      if (armed !== undefined) return armed.fault
      const kind: RequestFaultKind | undefined = pick(requestChance, chanceRequestKinds)
      if (kind === undefined) return undefined
      return {
        kind,
        status: chanceStatuses[requestChance.integer(0, 2)] ?? 500,
        delayMs: requestChance.integer(0, CHANCE_DELAY_MS_MAX),
        headers: requestChance.fraction() < 0.5,
      }
    },
    stream(kinds, { stream, account }) {
      const wanted: readonly string[] = kinds
      const fits = (fault: Fault): boolean =>
        wanted.includes(fault.kind) && (fault.stream === undefined || fault.stream === stream)
      const armed = take(account, fits)
      if (armed !== undefined)
        return { id: armed.id, kind: armed.fault.kind, isLast: !armings.has(armed) }
      const kind = wanted.includes('lose_events') ? pick(eventChance, chanceEventKinds) : undefined
      return kind === undefined ? undefined : { id: 'chance', kind, isLast: true }
    },
    order: (kind, account) => take(account, (fault) => fault.kind === kind)?.fault,
  }
}
