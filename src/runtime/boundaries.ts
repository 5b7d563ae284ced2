/**
 * The steps of the order path between which a process can die, by name. The code reports each step
 * that it has reached, so that tests can stop a worker exactly there. The crash tests try every
 * name in this list, also a name that is added later.
 *
 *   submit     dequeued > claimed > sending > (the request) > answered > recorded
 *   resolve    dequeued > looked_up > recorded
 *   cancel     dequeued > noted > sending > (the request) > answered > recorded
 *   replace    dequeued > noted > sending > (the request) > answered > recorded
 *   close      dequeued > sized > (from here on a submission)
 *   update     received > committed
 *   poll       listed > applied
 *   reconcile  orders_read > executions_read > portfolio_read > committed
 */
export const boundaryNames = [
  ...([
    'submit.dequeued',
    'submit.claimed',
    'submit.sending',
    'submit.answered',
    'submit.recorded',
  ] as const),
  ...(['resolve.dequeued', 'resolve.looked_up', 'resolve.recorded'] as const),
  ...([
    'cancel.dequeued',
    'cancel.noted',
    'cancel.sending',
    'cancel.answered',
    'cancel.recorded',
  ] as const),
  ...([
    'replace.dequeued',
    'replace.noted',
    'replace.sending',
    'replace.answered',
    'replace.recorded',
  ] as const),
  ...(['close.dequeued', 'close.sized'] as const),
  ...(['update.received', 'update.committed'] as const),
  ...(['poll.listed', 'poll.applied'] as const),
  ...(['reconcile.orders_read', 'reconcile.executions_read'] as const),
  ...(['reconcile.portfolio_read', 'reconcile.committed'] as const),
] as const
export type BoundaryName = (typeof boundaryNames)[number]

/**
 * Is called with each step that was reached. The caller awaits the result: a test that stops a
 * process at a step returns a promise that never settles.
 */
export interface Boundaries {
  reached(point: BoundaryName): Promise<void> | undefined
}

/** For production: reaching a step has no effect. */
export const noBoundaries: Boundaries = { reached: () => undefined }
