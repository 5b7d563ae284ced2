import { type Account, add, type Decimal, type Order, type Position, sub } from '#domain'
import { putNewest } from '#runtime'
import type { CancelMark, LoadedSlice, SliceAddress } from '#store'

/** One slice of one user's state. */
export type Place = SliceAddress & Readonly<{ userId: string }>

/**
 * The slices that this process committed last, by user: as good as loaded while no other process
 * writes. The cache saves the read before most commits.
 *
 *   empty   --a commit--> doubted
 *   doubted --a read finds the same version--> held
 *   doubted or held --a commit on top--> the same, with the new slice
 *   doubted or held --a commit on another version--> doubted, with the new slice alone
 *   doubted or held --a commit from this version was refused, or a read finds another--> empty
 *
 * Invariant:
 * - All slices held of a user belong to one version of the user's state.
 * - A decision from a held slice counts only after a commit that names this version was accepted.
 *   So another worker, a restart or a lost store costs a refused commit, never a wrong commit.
 * - A decision to write nothing re-reads the store before it returns.
 *
 * An order that has ended is not held, because few updates follow its end.
 */
export class StateCache {
  readonly #users = new Map<string, Held>()

  /**
   * The slice at an address; `null`: part of the slice is not held.
   * @param first the caller takes the trade for a new one; only the claim proves that it is
   *   (`first` of the fence)
   */
  slice({ userId, orderId, connectionId, symbol }: Place, first = false): LoadedSlice | null {
    const held = this.#users.get(userId)
    if (held === undefined || held.isDoubted) return null
    const account = held.accounts.get(connectionId)
    const position = held.positions.get(positionName(connectionId, symbol))
    const trade = first && !held.trades.has(orderId) ? UNSEEN : held.trades.get(orderId)
    const cashElsewhere = held.cashElsewhere.get(connectionId)
    if (
      account === undefined ||
      position === undefined ||
      trade === undefined ||
      first !== (trade === UNSEEN)
    )
      return null
    if (cashElsewhere === undefined) return null
    const { order, claim, cancelMark } = trade
    const at = { orderId, connectionId, symbol }
    const known = { order, position, account }
    return {
      at,
      version: held.version,
      slice: known,
      isArchived: false,
      claim,
      cancelMark,
      tombstone: null,
      cashElsewhere,
    }
  }

  /** The state was read, and is at this version. */
  read(userId: string, version: string): void {
    const held = this.#users.get(userId)
    if (held !== undefined && held.version === version) held.isDoubted = false
    else if (held !== undefined) this.#users.set(userId, nothing())
  }

  /**
   * A commit turned one slice of the version `before` into the slice `now`: all other slices are
   * unchanged.
   */
  committed(userId: string, before: string, now: LoadedSlice): void {
    const { connectionId, symbol } = now.at
    const known = this.#users.get(userId)
    const held = known?.version === before ? known : nothing()
    held.version = now.version
    const { order, position, account } = now.slice
    if (order !== null && order.endedAt === null)
      putNewest(
        held.trades,
        order.id,
        { order, claim: now.claim, cancelMark: now.cancelMark },
        TRADES_MAX,
      )
    else if (order !== null) held.trades.delete(order.id)
    putNewest(held.positions, positionName(connectionId, symbol), position, POSITIONS_MAX)
    noteCash(held, connectionId, now)
    if (account !== null) putNewest(held.accounts, connectionId, account, ACCOUNTS_MAX)
    putNewest(this.#users, userId, held, USERS_MAX)
  }

  /**
   * A commit of this version was refused. If this process has committed a newer version meanwhile,
   * the newer slices stay.
   */
  refused(userId: string, version: string): void {
    if (this.#users.get(userId)?.version === version) this.#users.set(userId, nothing())
  }
}

type Trade = Readonly<{ order: Order | null; claim: string | null; cancelMark: CancelMark | null }>
type Held = {
  version: string
  isDoubted: boolean
  readonly trades: Map<string, Trade>
  readonly positions: Map<string, Position | null>
  readonly accounts: Map<string, Account>
  /** By connection: the cash of the user's other accounts. */
  readonly cashElsewhere: Map<string, Decimal | null>
}

/**
 * A change of one account's cash also changes the sum that each other account has beside it. If the
 * amount of the change is not known, those sums are dropped and read again.
 */
function noteCash(
  { accounts, cashElsewhere }: Held,
  connectionId: string,
  { slice, cashElsewhere: beside }: LoadedSlice,
) {
  const before = accounts.get(connectionId)?.cash
  const after = slice.account?.cash
  for (const [other, cash] of cashElsewhere) {
    if (other === connectionId) continue
    if (before === undefined || after === undefined || cash === null) cashElsewhere.delete(other)
    else cashElsewhere.set(other, add(cash, sub(after, before)))
  }
  putNewest(cashElsewhere, connectionId, beside, ACCOUNTS_MAX)
}

const UNSEEN: Trade = { order: null, claim: null, cancelMark: null }
const nothing = (): Held => ({
  version: '',
  isDoubted: true,
  trades: new Map(),
  positions: new Map(),
  accounts: new Map(),
  cashElsewhere: new Map(),
})
const positionName = (connectionId: string, symbol: string): string => `${connectionId} ${symbol}`

/**
 * Most entries held, per user except for `USERS_MAX`. The entry written longest ago is dropped, and
 * loaded when it is needed.
 */
const USERS_MAX = 2_000
const TRADES_MAX = 32
const POSITIONS_MAX = 32
const ACCOUNTS_MAX = 8
