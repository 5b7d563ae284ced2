import ts from 'typescript'
import type { Source } from './source.ts'
import { commentsOf } from './tree.ts'

/** The names that a file exports by a declaration of its own, types included. */
export function exportedNames({ tree }: Source): { name: string; isType: boolean }[] {
  return tree.statements.flatMap((statement) => {
    const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : []
    const kinds = modifiers.map(({ kind }) => kind)
    // A default export is what a tool loads by its path.
    if (!kinds.includes(ts.SyntaxKind.ExportKeyword)) return []
    if (kinds.includes(ts.SyntaxKind.DefaultKeyword)) return []
    const isType = ts.isTypeAliasDeclaration(statement) || ts.isInterfaceDeclaration(statement)
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.map((d) => ({ name: d.name.getText(), isType }))
    }
    const named = statement as ts.Node as { name?: ts.Identifier }
    return named.name === undefined ? [] : [{ name: named.name.getText(), isType }]
  })
}

/** Parts in which an exported name means one thing. */
const ONE_MEANING = ['src/domain/', 'workers/']

/** Exported names that two files of one part share. One finding for each file. */
export const sharedNames = (sources: readonly Source[]): string[] =>
  ONE_MEANING.flatMap((part) => {
    const places = new Map<string, Set<string>>()
    for (const source of sources.filter(({ path }) => path.startsWith(part))) {
      for (const { name } of exportedNames(source)) {
        places.set(name, (places.get(name) ?? new Set<string>()).add(source.path))
      }
    }
    return [...places].flatMap(([name, paths]) =>
      paths.size > 1
        ? [...paths].map((path) => `${path} exports ${name}, a name that it shares`)
        : [],
    )
  })

const ID = /\b(D\d{1,2}|P\d|[SC]\d{1,2}|(?:SUB|FIL|CAN|POS|CRA|RDQ|CON|MUL|CLK|LIM|MKT)-\d{2})\b/g

/**
 * The ids of promises, decisions and failures that documents define: in bold or in a table's first
 * column.
 */
export const definedIds = (...documents: readonly string[]): Set<string> =>
  new Set(
    documents.flatMap((text) =>
      [...text.matchAll(/(?:\*\*|^\| )([A-Z]\d{1,2}|[A-Z]{3}-\d{2})\b/gm)].map(
        (match) => match[1] ?? '',
      ),
    ),
  )

/** Ids in comments that no document of the repository defines. */
export const unresolvedIds =
  (defined: ReadonlySet<string>) =>
  (sources: readonly Source[]): string[] =>
    sources.flatMap((source) =>
      commentsOf(source).flatMap(({ line, text }) =>
        [...text.matchAll(ID)].flatMap(([id]) =>
          defined.has(id) ? [] : [`${source.path}:${line} names ${id}, which nothing defines`],
        ),
      ),
    )
