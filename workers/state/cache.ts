import { type Account, add, type Decimal, type Order, type Position, sub } from '#domain'
import { putNewest } from '#runtime'
import type { CancelMark, LoadedSlice, SliceAddress } from '#store'

/** One slice of one user's state. */
export type Place = SliceAddress & Readonly<{ userId: string }>

/**
 * What this process committed last of each user: as good as loaded, as long as nobody else writes.
 * It saves the reading before most commits.
 *
 *   nothing --committed--> doubted --a reading finds the same version--> held
 *   held --committed on top of it--> held
 *   held --a commit from it was refused, or a reading finds another--> doubted
 *
 * Kept true: all that is held of a user belongs to one version of its state, and nothing that was
 * decided from it counts before a commit that names this version was accepted. So another worker, a
 * restart or a lost store costs a refused commit, never a wrong one; and whoever decides to write
 * nothing has to load first. An order that has ended is not held: little happens to it.
 */
export class StateCache {
  readonly #users = new Map<string, Held>()

  /**
   * What there is at an address, if all of it is held.
   * @param first of a trade that nobody has seen yet: whether that is so, only its claim tells
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

  /** A commit made a slice of one version into that of the next: all the rest is as it was. */
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

  /** A commit of this version was refused. Whatever this process has committed meanwhile stands. */
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
 * What moved one account moves what the others have beside them; unless it is known by how much,
 * they are read again.
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
 * Held at most, of each user but for the first; what was written longest ago is dropped, and loaded
 * when it is needed.
 */
const USERS_MAX = 2_000
const TRADES_MAX = 32
const POSITIONS_MAX = 32
const ACCOUNTS_MAX = 8
