import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** One event as the published specification prints it. */
export type PrintedEvent = Readonly<{
  event: string
  from: 'server' | 'client'
  /**
   * The example payload; where the page prints `"a" | "b"`, its first value. `null`: the page
   * prints none.
   */
  example: unknown
  /** Each field that is printed as `"a" | "b"`, with all its values. */
  values: Readonly<Record<string, readonly string[]>>
}>

const page = new URL('../../../shared/spec/websocket-events.md', import.meta.url)
const fixtures = new URL('../fixtures/spec/', import.meta.url)

/** The specification is published beside the repository, not in it. */
export const specIsHere = existsSync(page)

const HEADING = /^### (Server|Client) → \w+: /m
const UNION = /"(\w+)": ("\w+"(?: \| "\w+")+)/g

/** Every event of the page. Socket.IO's own are left out: they have no payload of ours. */
export const readPrintedEvents = (): PrintedEvent[] =>
  readFileSync(page, 'utf8')
    .split(/^(?=#{2,3} )/m)
    .flatMap((section) => {
      const from = HEADING.exec(section)?.[1]?.toLowerCase()
      const event = /\*\*Event\*\*: `([^`]+)`(?! \(Socket\.IO built-in\))/.exec(section)?.[1]
      if (event === undefined || (from !== 'server' && from !== 'client')) return []
      const text = /```json\n(.*?)```/s.exec(section)?.[1]
      const values = [...(text ?? '').matchAll(UNION)].map(([, field = '', printed = '']) => [
        field,
        printed.split(' | ').map((value) => JSON.parse(value) as string),
      ])
      const example: unknown = text
        ? JSON.parse(text.replaceAll(UNION, (all) => all.split(' | ')[0] ?? all))
        : null
      return [
        { event, from, example, values: Object.fromEntries(values) as PrintedEvent['values'] },
      ]
    })

/**
 * How many `json` blocks and `**Event**` lines the page has, read without any knowledge of its
 * structure.
 */
export const countPrinted = (): { examples: number; events: number } => {
  const text = readFileSync(page, 'utf8')
  return {
    examples: text.match(/^```json$/gm)?.length ?? 0,
    events: text.match(/^\*\*Event\*\*: /gm)?.length ?? 0,
  }
}

/** The examples that are kept here, by event name. */
export const readFixtures = (): Map<string, unknown> =>
  new Map(
    readdirSync(fixtures)
      .sort()
      .map((file) => [
        file.replace(/\.json$/, ''),
        JSON.parse(readFileSync(new URL(file, fixtures), 'utf8')) as unknown,
      ]),
  )
