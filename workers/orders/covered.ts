import type { Order, Position } from '#domain'
import type { Run } from '../queue/index.ts'

// A command for everything covers the orders and positions that were there when the command was
// given. The command can run late, and again after its worker was lost: it does not touch orders
// and positions from after it was given (RDQ-06).

/** The clocks of the producers of orders and of commands differ by less than this. */
const SKEW_MS = 2_000

const isBefore = (at: string, { queuedAtMs }: Run): boolean =>
  Date.parse(at) <= queuedAtMs + SKEW_MS

/** True if the order had been asked for when the command was given. */
export const coversOrder = ({ askedAt, submittedAt, claimedAt }: Order, run: Run): boolean =>
  isBefore(askedAt ?? submittedAt ?? claimedAt ?? '', run)

/** True if the position was open when the command was given, on its present side. */
export const coversPosition = ({ openedAt }: Position, run: Run): boolean => isBefore(openedAt, run)
