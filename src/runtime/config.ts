import type { z } from 'zod'
import { ConfigError } from './errors.ts'

/**
 * One setting of a process. The schema reads the variable's text (`undefined` when absent or empty)
 * and holds the default; the other fields are for people: they become the README's table and the
 * error text.
 */
export type Setting<Schema extends z.ZodType = z.ZodType> = Readonly<{
  env: string
  schema: Schema
  /** The purpose of the value, one sentence, unit included. */
  purpose: string
  /** The allowed values, as a person would name them: "a port, 0 to 65535". */
  allowed: string
  /** The default as text, if there is one. */
  fallback?: string
}>

export type Settings = Readonly<Record<string, Setting>>
export type ConfigOf<S extends Settings> = Readonly<{
  [Key in keyof S]: z.output<S[Key]['schema']>
}>

/** Describes one setting; this function exists so that the schema's type is kept. */
export const setting = <Schema extends z.ZodType>(described: Setting<Schema>): Setting<Schema> =>
  described

/**
 * Reads a process's configuration once, at its start, and freezes it.
 * @param check checks values together. It gets the values that could be read, also if other values
 *   are wrong.
 * @throws {ConfigError} naming every bad value at once, with the allowed values. Values never
 *   appear in the text: one may be a secret.
 */
export function readConfig<S extends Settings>(
  settings: S,
  env: Readonly<Record<string, string | undefined>>,
  check: (read: Partial<ConfigOf<S>>) => readonly string[] = () => [],
): ConfigOf<S> {
  const config: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [key, { env: name, schema, allowed }] of Object.entries(settings)) {
    const text = env[name]?.trim()
    const parsed = schema.safeParse(text === '' ? undefined : text)
    if (parsed.success) config[key] = parsed.data
    else
      problems.push(
        `${name} ${text === undefined || text === '' ? 'is missing' : 'is not valid'}: ${allowed}`,
      )
  }
  problems.push(...check(config as Partial<ConfigOf<S>>))
  if (problems.length > 0)
    throw new ConfigError(`Fix these settings and start again:\n  ${problems.join('\n  ')}`)
  return Object.freeze(config) as ConfigOf<S>
}
