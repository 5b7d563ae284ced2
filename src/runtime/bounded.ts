/**
 * Puts an entry at the end of a map that holds at most `max`: a new one takes the place of the
 * entry that was put longest ago.
 */
export function putNewest<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  max: number,
): void {
  if (!map.delete(key) && map.size >= max) {
    // Only a full map is asked for its oldest entry: finding that entry has to step over everything
    // that was removed from the map's beginning.
    const [oldest] = map.keys()
    if (oldest !== undefined) map.delete(oldest)
  }
  map.set(key, value)
}
