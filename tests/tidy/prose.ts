import ts from 'typescript'
import type { Source } from './source.ts'
import { commentsOf, nodesOf } from './tree.ts'

// How readable the English is: how many sentences hang on a clause such as "what was read", begin
// with one, or hide their subject behind a word such as "somebody". A tired reader takes such a
// sentence twice.

const CLAUSE = /\b(what|whatever|whoever|whichever)\b(?! (is|are) (the|a|an) )/i
const OPENING = /^(what|whatever|whoever|nothing|nobody|somebody|whether|of what|of those|who )\b/i
const VAGUE = /\b(told|tells|somebody|nobody|anybody|everybody)\b/i
const WORDS_MIN = 4

/** Sentences of some text, and those of them that a reader stumbles over. */
export type Prose = Readonly<{ sentences: number; hard: readonly string[] }>

const sentencesOf = (text: string): string[] =>
  text
    .replace(/`[^`]*`/g, 'X')
    .replace(/@\w+/g, '')
    .split(/(?<=[.;:!?])\s+|\n{2,}/)
    .map((sentence) => sentence.replace(/\s+/g, ' ').trim())
    .filter((sentence) => sentence.split(' ').length >= WORDS_MIN)

export function proseOf(blocks: readonly string[]): Prose {
  const sentences = blocks.flatMap(sentencesOf)
  const hard = sentences.filter(
    (text) => CLAUSE.test(text) || OPENING.test(text) || VAGUE.test(text),
  )
  return { sentences: sentences.length, hard }
}

/** The comments of a file. */
export const commentBlocks = (source: Source): string[] =>
  commentsOf(source).map(({ text }) => text)

/** The comments of a Lua script, as one text. */
export const luaBlocks = (text: string): string[] => [
  [...text.matchAll(/^[ \t]*--(.*)$/gm)].map((match) => match[1] ?? '').join('\n'),
]

/** The paragraphs of a Markdown page, without its code and its tables. */
export const pageBlocks = (text: string): string[] =>
  text
    .replace(/```[\s\S]*?```/g, '')
    .split('\n')
    .filter((line) => !/^\s*\|/.test(line))
    .join('\n')
    .split(/\n{2,}/)

/** The names of suites and tests. */
export const testNames = ({ tree }: Source): string[] =>
  nodesOf(tree).flatMap((node) => {
    if (!ts.isCallExpression(node) || !/^(test|it|describe)\b/.test(node.expression.getText()))
      return []
    const name = node.arguments[0]
    return name !== undefined && ts.isStringLiteralLike(name) ? [name.text] : []
  })
