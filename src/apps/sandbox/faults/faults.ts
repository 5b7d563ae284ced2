import type { Account } from '../broker/account.ts'
import type { Randomness } from '../randomness.ts'
import {
  type ArmedFault,
  type Fault,
  type OrderFaultKind,
  type RequestFaultKind,
  requestFaultKinds,
  type StreamFaultKind,
} from './fault.ts'

/**
 * The armed faults, and the faults that come by chance. Every operation that can fail asks here
 * first. Invariants:
 * - a fault counts every match, fires at most `count` times, and is removed after the last firing;
 * - one operation gets at most one fault, the fault armed first;
 * - faults by chance only affect operations that no armed fault affects.
 */
export interface Faults {
  /** @param account limits the fault to this account @throws {RangeError} too many are armed */
  arm(fault: Fault, account: Account | undefined): ArmedFault
  armed(): readonly ArmedFault[]
  /** Disarms one fault, or all faults; returns how many. */
  disarm(id?: string): number
  onDisarm(listener: (id: string) => void): void
  /** The share of requests and events that fail by chance, 0 to 1. */
  randomness: { share: number }
  request(
    request: Readonly<{ method: string; path: string; account: Account | undefined }>,
  ): Fault | undefined
  stream(
    kinds: readonly StreamFaultKind[],
    at: Readonly<{ stream: 'trade' | 'data' | 'events'; account: Account | undefined }>,
  ): StreamFault | undefined
  order(kind: OrderFaultKind, account: Account): Fault | undefined
}

/** A stream fault that fires now; `isLast` if it cannot fire again. */
export type StreamFault = Readonly<{ id: string; kind: Fault['kind']; isLast: boolean }>

const FAULTS_ARMED_MAX = 1_000
/** The kinds of faults by chance: for requests, and for events. */
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

/** The total number of firings of a fault. */
const countOf = ({ kind, count }: Fault): number => count ?? (kind === 'reorder_events' ? 2 : 1)

/** @param chance the source of all faults by chance; requests and events have separate forks */
export function createFaults(randomness: Randomness, share: number): Faults {
  const armings = new Set<Arming>()
  const disarmListeners: ((id: string) => void)[] = []
  const requestChance = randomness.fork('requests')
  const eventChance = randomness.fork('events')
  const byChance = { share }
  let ids = 0

  /** Counts a match for every fault that fits; returns the first fault that fires. */
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
  const pick = <Kind>(from: Randomness, kinds: readonly Kind[]): Kind | undefined =>
    byChance.share > 0 && from.fraction() < byChance.share
      ? kinds[from.integer(0, kinds.length - 1)]
      : undefined

  return {
    randomness: byChance,
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
