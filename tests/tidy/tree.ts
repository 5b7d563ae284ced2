import ts from 'typescript'
import type { Source } from './source.ts'

/** Every node of a tree. */
export function nodesOf(tree: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = []
  const visit = (node: ts.Node): void => {
    nodes.push(node)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return nodes
}

/** The findings of a rule about single nodes. `null` means that a node is in order. */
export const findNodes = (
  sources: readonly Source[],
  finding: (node: ts.Node, source: Source) => string | null,
): string[] =>
  sources.flatMap((source) => nodesOf(source.tree).flatMap((node) => finding(node, source) ?? []))

/** The line on which a node starts, counted from 1. */
export const lineOf = (node: ts.Node): number =>
  node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1

/** A comment of a file: its first line, and its text without the marks. */
export type Comment = Readonly<{ line: number; text: string }>

/** The comments of a file. Line comments one below the other are one comment. */
export function commentsOf({ text, tree }: Source): Comment[] {
  const found: { line: number; last: number; isLine: boolean; text: string }[] = []
  for (const { pos, end } of commentRanges(tree)) {
    const raw = text.slice(pos, end)
    const line = tree.getLineAndCharacterOfPosition(pos).line + 1
    const isLine = raw.startsWith('//')
    const before = found.at(-1)
    const content = isLine ? raw.slice(2).trim() : blockContent(raw)
    if (isLine && before?.isLine === true && before.last === line - 1) {
      before.text += `\n${content}`
      before.last = line
    } else found.push({ line, last: line, isLine, text: content })
  }
  return found.map(({ line, text: content }) => ({ line, text: content }))
}

const blockContent = (raw: string): string =>
  raw
    .replace(/^\/\*+/, '')
    .replace(/\*+\/$/, '')
    .replace(/^\s*\* ?/gm, '')
    .trim()

/** Where the comments of a tree are, in order, each once. */
function commentRanges(tree: ts.SourceFile): ts.TextRange[] {
  const ranges = new Map<number, ts.TextRange>()
  const add = (list: readonly ts.TextRange[] | undefined): void => {
    for (const range of list ?? []) ranges.set(range.pos, range)
  }
  const visit = (node: ts.Node): void => {
    add(ts.getLeadingCommentRanges(tree.text, node.getFullStart()))
    add(ts.getTrailingCommentRanges(tree.text, node.end))
    for (const child of node.getChildren(tree)) visit(child)
  }
  visit(tree)
  return [...ranges.values()].sort((a, b) => a.pos - b.pos)
}
