/** Puts an entry at the end of a map that holds at most `max`: a new one takes the place of the entry that was put longest ago. */
export function putNewest<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, max: number): void {
  map.delete(key)
  const [oldest] = map.keys()
  if (oldest !== undefined && map.size >= max) map.delete(oldest)
  map.set(key, value)
}
