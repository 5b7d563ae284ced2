import { importsOf, type Source } from './source.ts'

// Import cycles. An import of a type counts: files that cannot be read one after the other belong
// together or are badly cut.

/**
 * The files that import each other in a circle, each circle sorted by path. A file in no circle is
 * in no group.
 */
function importCycles(sources: readonly Source[]): string[][] {
  const graph = graphOf(sources)
  return components(graph).filter(
    (group) => group.length > 1 || graph.get(group[0] ?? '')?.includes(group[0] ?? '') === true,
  )
}

/** One finding for each file that is part of a circle. */
export const cyclicImports = (sources: readonly Source[]): string[] =>
  importCycles(sources).flatMap((group) =>
    group.map(
      (path) => `${path} is one of ${group.length} files that import each other in a circle`,
    ),
  )

/**
 * The folders of a part, the ones that import nothing first: the order in which they can be read.
 */
export function foldersInOrder(sources: readonly Source[]): string[] {
  const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))
  const folders = new Map<string, Set<string>>()
  for (const source of sources) {
    const from = folderOf(source.path)
    const into = folders.get(from) ?? new Set<string>()
    folders.set(from, into)
    for (const name of importsOf(source)) {
      const to = folderOf(name)
      if (to !== from && /^(src|workers|relay)\b/.test(name)) into.add(to)
    }
  }
  return components(new Map([...folders].map(([from, into]) => [from, [...into]]))).map((group) =>
    group.join(' <-> '),
  )
}

function graphOf(sources: readonly Source[]): Map<string, readonly string[]> {
  const paths = new Set(sources.map(({ path }) => path))
  return new Map(
    sources.map((source) => [source.path, importsOf(source).filter((name) => paths.has(name))]),
  )
}

/** Strongly connected components by Tarjan, dependencies before their dependents. */
function components(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const groups: string[][] = []
  const visit = (node: string): void => {
    const own = index.size
    index.set(node, own)
    lowest.set(node, own)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue
      if (!index.has(next)) visit(next)
      if (stack.includes(next))
        lowest.set(node, Math.min(lowest.get(node) ?? own, lowest.get(next) ?? own))
    }
    if (lowest.get(node) !== own) return
    groups.push(stack.splice(stack.indexOf(node)).sort())
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return groups
}
