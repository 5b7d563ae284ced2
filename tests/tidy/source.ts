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

/** All TypeScript files below some folders of the repository. */
export function readSources(...folders: string[]): Source[] {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(root, folder, name)),
  )
  return files
    .filter((file) => /\.m?ts$/.test(file) && statSync(file).isFile())
    .map((file) => sourceOf(relative(root, file), readFileSync(file, 'utf8')))
}

const doors = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { imports: Record<string, string> })
  .imports

/** What a file imports: paths from the root for our own files, bare names for packages. */
export function importsOf({ path, tree }: Source): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const isImport = ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
    const from = isImport
      ? node.moduleSpecifier
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
        ? node.arguments[0]
        : undefined
    if (from !== undefined && ts.isStringLiteral(from)) found.push(from.text)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found.map((name) => {
    if (name.startsWith('#')) return (doors[name] ?? name).replace(/^\.\//, '')
    return name.startsWith('.') ? join(dirname(path), name) : name
  })
}

/** The package behind a bare import: `hono/body-limit` -> `hono`. */
export const packageOf = (name: string): string =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
