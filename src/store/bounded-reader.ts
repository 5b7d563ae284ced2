import type { Reader } from './reader.ts'

/**
 * A reader that reads logs and whole states for `readsMax` callers at once; further callers wait,
 * first come, first served.
 */
export function boundedReader(reader: Reader, readsMax: number): Reader {
  const waiting: (() => void)[] = []
  let running = 0
  const inTurn = async <T>(read: () => Promise<T>): Promise<T> => {
    if (running < readsMax) running += 1
    else await new Promise<void>((resolve) => waiting.push(resolve)) // a finished read resolves it
    try {
      return await read()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
  return {
    ...reader,
    snapshot: (userId) => inTurn(() => reader.snapshot(userId)),
    figures: (userId) => inTurn(() => reader.figures(userId)),
    events: (userId, afterId, limit) => inTurn(() => reader.events(userId, afterId, limit)),
  }
}
