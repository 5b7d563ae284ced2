import ts from 'typescript'
import type { Source } from './source.ts'
import { findNodes, lineOf } from './tree.ts'

// Sizes, and the tricks that make something look smaller than it is.

const LINES_PER_FILE_MAX = 400
const STATEMENTS_PER_FUNCTION_MAX = 40
const COMMENT_WIDTH_MAX = 100

/**
 * Functions that put the parts together: a list of everything that there is, one statement a part.
 */
const COMPOSITION_ROOTS = new Set([
  'workers/compose.ts',
  'relay/server.ts',
  'src/apps/demo/main.ts',
])

export const longFiles = (sources: readonly Source[]): string[] =>
  sources.flatMap(({ path, text }) => {
    const lines = text.split('\n').length - 1
    return lines > LINES_PER_FILE_MAX ? [`${path} has ${lines} lines`] : []
  })

/** A suite is a list, not a function: the callbacks of `describe` and `test` may be long. */
const isTestCallback = ({ parent }: ts.Node): boolean =>
  ts.isCallExpression(parent) && /^(describe|test|it)\b/.test(parent.expression.getText())

/**
 * The statements of a function without those of the functions inside it. A block is no statement.
 */
function statementsIn(body: ts.Node): number {
  let count = 0
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) return
    if (ts.isStatement(node) && !ts.isBlock(node)) count += 1
    ts.forEachChild(node, visit)
  }
  ts.forEachChild(body, visit)
  return count
}

export const longFunctions = (sources: readonly Source[]): string[] =>
  findNodes(sources, (node, { path }) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return null
    if (isTestCallback(node) || COMPOSITION_ROOTS.has(path)) return null
    const count = statementsIn(node.body)
    return count > STATEMENTS_PER_FUNCTION_MAX
      ? `${path}:${lineOf(node)} has a function of ${count} statements`
      : null
  })

/** `...{ a, b }` inside an object literal: the properties belong there by themselves. */
export const literalSpreads = (sources: readonly Source[]): string[] =>
  findNodes(sources, (node, { path }) =>
    ts.isSpreadAssignment(node) && ts.isObjectLiteralExpression(node.expression)
      ? `${path}:${lineOf(node)} spreads a literal into a literal`
      : null,
  )

/** `...['a', 'b']` inside a list: the elements belong there by themselves. */
export const listSpreads = (sources: readonly Source[]): string[] =>
  findNodes(sources, (node, { path }) =>
    ts.isSpreadElement(node) && ts.isArrayLiteralExpression(node.expression)
      ? `${path}:${lineOf(node)} spreads a list into a list`
      : null,
  )

/** `const [a, b] = [first(), second()]`: two declarations that share a line. */
export const tupleDeclarations = (sources: readonly Source[]): string[] =>
  findNodes(sources, (node, { path }) =>
    ts.isVariableDeclaration(node) &&
    ts.isArrayBindingPattern(node.name) &&
    node.name.elements.length > 1 &&
    node.initializer !== undefined &&
    ts.isArrayLiteralExpression(node.initializer) &&
    !node.initializer.elements.some(ts.isSpreadElement)
      ? `${path}:${lineOf(node)} declares unrelated values as a tuple`
      : null,
  )

export const wideComments = (sources: readonly Source[]): string[] =>
  sources.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        line.length > COMMENT_WIDTH_MAX &&
        /^\s*(\/\/|\/\*\*|\*)/.test(line) &&
        !/https?:\/\//.test(line)
          ? [`${path}:${index + 1} has a comment of ${line.length} characters`]
          : [],
      ),
  )
