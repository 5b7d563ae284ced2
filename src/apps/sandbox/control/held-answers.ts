import type { Account } from '../broker/account.ts'

/**
 * Held answers to `POST /v2/orders`. The request was accepted and processed; only its answer waits
 * until it is released, or dropped together with its connection. Invariant: a held answer leaves
 * the queue exactly once.
 */
export interface HeldAnswers {
  /** Holds (or with `drop` cuts) the next `count` answers, of one account or of any account. */
  arm(
    count: number,
    options?: Readonly<{ account?: Account | undefined; drop?: boolean | undefined }>,
  ): void
  /** Called by the server before it answers an order; true: the queue has taken the answer. */
  take(account: Account, answer: HeldAnswer): boolean
  /** Sends the oldest `count` answers, by default all. Returns how many were sent. */
  release(count?: number): number
  /**
   * Cuts the connections of the oldest `count` answers, by default all. Returns how many were cut.
   */
  drop(count?: number): number
  readonly waiting: number
  /** Disarms all holds and drops the waiting answers. */
  clear(): void
}

type HeldAnswer = Readonly<{ send(): void; drop(): void }>

/**
 * With more held answers the oldest is sent, so a forgotten hold cannot collect sockets without
 * limit.
 */
const HELD_ANSWERS_MAX = 1_000

type Arming = { readonly account: Account | undefined; readonly drop: boolean; left: number }

export function createHeldAnswers(): HeldAnswers {
  const armed: Arming[] = []
  const held: HeldAnswer[] = []
  const takeOut = (count: number, end: 'send' | 'drop'): number => {
    const out = held.splice(0, count)
    out.forEach((answer) => answer[end]())
    return out.length
  }
  return {
    arm: (count, { account, drop = false } = {}) => void armed.push({ account, drop, left: count }),
    take(account, answer) {
      const arming = armed.find(
        (candidate) => candidate.account === undefined || candidate.account === account,
      )
      if (arming === undefined) return false
      arming.left -= 1
      if (arming.left <= 0) armed.splice(armed.indexOf(arming), 1)
      if (arming.drop) {
        answer.drop()
        return true
      }
      held.push(answer)
      if (held.length > HELD_ANSWERS_MAX) takeOut(1, 'send')
      return true
    },
    release: (count = held.length) => takeOut(count, 'send'),
    drop: (count = held.length) => takeOut(count, 'drop'),
    get waiting() {
      return held.length
    },
    clear() {
      armed.length = 0
      takeOut(held.length, 'drop')
    },
  }
}
