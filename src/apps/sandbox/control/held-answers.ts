import type { Account } from '../broker/account.ts'

/**
 * Answers to `POST /v2/orders` that wait. The request was taken and worked on; only its answer is
 * held, until it is released, or dropped with its connection. Invariant: a held answer leaves the
 * queue once.
 */
export interface HeldAnswers {
  /** Holds (or drops at once) the next `count` answers, of one account or of any. */
  arm(
    count: number,
    options?: Readonly<{ account?: Account | undefined; drop?: boolean | undefined }>,
  ): void
  /** Asked by the server before it answers an order: true means the answer is taken over. */
  take(account: Account, answer: HeldAnswer): boolean
  /** Sends the oldest `count` answers, by default all. Answers how many there were. */
  release(count?: number): number
  /** Cuts the connections of the oldest `count` instead of answering, by default all. */
  drop(count?: number): number
  readonly waiting: number
  /** Forgets what is armed and drops what waits. */
  clear(): void
}

type HeldAnswer = Readonly<{ send(): void; drop(): void }>

/**
 * Beyond this the oldest held answer is sent, so that a forgotten hold cannot collect sockets
 * without end.
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
