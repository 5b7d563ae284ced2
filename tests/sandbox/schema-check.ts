import { Ajv2020 } from 'ajv/dist/2020.js'
import { readdirSync, readFileSync } from 'node:fs'

/**
 * Answers checked against the JSON Schemas in `schemas/`, which say what the reference says and
 * know nothing of the sandbox.
 */

const folder = new URL('./schemas/', import.meta.url)
const ajv = new Ajv2020({
  strict: true,
  strictTypes: false,
  strictRequired: false,
  allErrors: true,
})

for (const file of readdirSync(folder)) {
  ajv.addSchema(JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as object)
}

/**
 * The errors of a value, one line each; empty without an error.
 * @param schema the name of a file, `order`, or of a definition in it,
 *   `latest#/$defs/stock-latest-bars`
 */
export function problemsOf(schema: string, value: unknown): string[] {
  const [file, pointer] = schema.split('#', 2)
  const validate = ajv.getSchema(pointer === undefined ? `${file}.json` : `${file}.json#${pointer}`)
  if (validate === undefined) throw new Error(`no such schema: ${schema}`)
  void validate(value)
  return (validate.errors ?? []).map(
    ({ instancePath, message }) => `${instancePath || '/'} ${message}`,
  )
}

/**
 * Every copy of a value that has one leaf of another type: text for a number, a number for text,
 * and so on.
 */
export function withOneLeafWrong(
  value: unknown,
): readonly (readonly [path: string, copy: unknown])[] {
  if (Array.isArray(value)) {
    const items: unknown[] = value
    return items.flatMap((item, i) =>
      withOneLeafWrong(item).map(([path, copy]) => [`/${i}${path}`, items.with(i, copy)] as const),
    )
  }
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, item]) =>
      withOneLeafWrong(item).map(
        ([path, copy]) => [`/${key}${path}`, { ...value, [key]: copy }] as const,
      ),
    )
  }
  return [['', typeof value === 'string' ? 1 : typeof value === 'number' ? String(value) : 12]]
}
