/** The differences between the events that clients received and the logs of their users. */
export type Differences = {
  lost: number
  repeated: number
  foreign: number
  misplaced: number
  resyncs: number
}

export const noDifferences = (): Differences => ({
  lost: 0,
  repeated: 0,
  foreign: 0,
  misplaced: 0,
  resyncs: 0,
})

export const isClean = (differences: Differences): boolean =>
  Object.values(differences).every((count) => count === 0)

/**
 * Adds the differences of one client. `misplaced`: heard, and heard once, after one that follows it
 * in the log.
 */
export function compare(heard: readonly string[], log: readonly string[], into: Differences): void {
  const places = new Map(log.map((name, place) => [name, place]))
  const seen = new Set<string>()
  let furthest = -1
  for (const name of heard) {
    const place = places.get(name)
    if (place === undefined) into.foreign += 1
    else if (seen.has(name)) into.repeated += 1
    else if (place < furthest) into.misplaced += 1
    else furthest = place
    seen.add(name)
  }
  into.lost += log.filter((name) => !seen.has(name)).length
}

export const inWords = ({ lost, repeated, foreign, misplaced, resyncs }: Differences): string =>
  `${lost} lost, ${repeated} repeated, ${foreign} foreign, ${misplaced} out of order, ${resyncs} resyncs`
