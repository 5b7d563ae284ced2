import type { Order, Position } from '#domain'
import type { Run } from '../queue/index.ts'

// What a command for everything covers: what was there when it was given. A command can run late,
// and again after its worker was lost; what was asked for meanwhile is none of its business
// (RDQ-06).

/** The clocks of those who ask for orders and for commands differ by less. */
const SKEW_MS = 2_000

const isBefore = (at: string, { queuedAtMs }: Run): boolean =>
  Date.parse(at) <= queuedAtMs + SKEW_MS

/** Whether an order had been asked for when the command was given. */
export const coversOrder = ({ askedAt, submittedAt, claimedAt }: Order, run: Run): boolean =>
  isBefore(askedAt ?? submittedAt ?? claimedAt ?? '', run)

/** Whether a position was open when the command was given, on the side on which it is now. */
export const coversPosition = ({ openedAt }: Position, run: Run): boolean => isBefore(openedAt, run)
