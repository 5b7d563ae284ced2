import type { Change, Order } from '#domain'

/** Helpers for tests that apply updates in each possible order and check the changes. */

export const types = (changes: readonly Change[]): string[] => changes.map((change) => change.type)
export const endings = (changes: readonly Change[]): Order[] =>
  changes.flatMap((change) =>
    change.type === 'order.ended' || (change.type === 'order.executed' && change.completed)
      ? [change.order]
      : [],
  )

export function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [
      item,
      ...rest,
    ]),
  )
}
