import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'

/** One source file: its path from the root, its text, its syntax tree. */
export type Source = Readonly<{ path: string; text: string; tree: ts.SourceFile }>

export const root = join(import.meta.dirname, '../..')

export const sourceOf = (path: string, text: string): Source => ({
  path,
  text,
  tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, true),
})

/**
 * All TypeScript files below some folders of the repository, and the plain modules of the set-up.
 */
export function readSources(...folders: string[]): Source[] {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(root, folder, name),
    ),
  )
  return files
    .filter((file) => /\.(m?ts|mjs)$/.test(file) && statSync(file).isFile())
    .map((file) => sourceOf(relative(root, file), readFileSync(file, 'utf8')))
}

const doors = (
  JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    imports: Record<string, string>
  }
).imports

/** One import, re-export or dynamic import of a file. */
export type Import = Readonly<{
  /** A path from the root for our own files, a bare name for a package. */
  from: string
  /** The names taken; `null` when it is all of them. */
  names: readonly string[] | null
}>

const resolved = (path: string, name: string): string => {
  if (name.startsWith('#')) return (doors[name] ?? name).replace(/^\.\//, '')
  return name.startsWith('.') ? join(dirname(path), name) : name
}

/** The names that an import or export statement takes from another file. */
function namesTaken(node: ts.ImportDeclaration | ts.ExportDeclaration): readonly string[] | null {
  const clause = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : node.exportClause
  const isDefault =
    ts.isImportDeclaration(node) && node.importClause?.name !== undefined ? ['default'] : []
  if (clause === undefined) return ts.isImportDeclaration(node) ? isDefault : null
  if (ts.isNamespaceImport(clause) || ts.isNamespaceExport(clause)) return null
  return [
    ...isDefault,
    ...clause.elements.map(({ name, propertyName }) => (propertyName ?? name).text),
  ]
}

/** Everything that a file imports, in order. */
export function importsIn({ path, tree }: Source): Import[] {
  const found: Import[] = []
  const add = (from: ts.Node | undefined, names: readonly string[] | null): void => {
    if (from !== undefined && ts.isStringLiteral(from))
      found.push({ from: resolved(path, from.text), names })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node))
      add(node.moduleSpecifier, namesTaken(node))
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0], null)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, null)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

/** What a file imports: paths from the root for our own files, bare names for packages. */
export const importsOf = (source: Source): string[] => importsIn(source).map(({ from }) => from)

/** The package behind a bare import: `hono/body-limit` -> `hono`. */
export const packageOf = (name: string): string =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
