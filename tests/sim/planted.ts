import { registerHooks } from 'node:module'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * A defect that is put into the code when it is read, to see that the sweep finds it: in `file` the text `right`, which is there once,
 * becomes `wrong`. Files on disk stay as they are.
 */
export type PlantedDefect = Readonly<{ name: string; what: string; file: string; right: string; wrong: string }>

export const planted: readonly PlantedDefect[] = []

const root = new URL('../../', import.meta.url)

/** The file with the defect in it. @throws {Error} the text is not there, or more than once */
export function withDefect({ name, file, right, wrong }: PlantedDefect): string {
  const text = readFileSync(new URL(file, root), 'utf8')
  const [before, after, ...more] = text.split(right)
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`the defect "${name}" does not fit any more: ${file} must have this once: ${right}`)
  return before + wrong + after
}

/** Every module that is read from now on in this process has the defect. */
export function plant(name: string): void {
  const defect = planted.find((one) => one.name === name)
  if (defect === undefined) throw new Error(`there is no defect "${name}"`)
  const path = fileURLToPath(new URL(defect.file, root))
  const source = withDefect(defect)
  registerHooks({
    load(url, context, next) {
      if (!url.startsWith('file:') || fileURLToPath(url) !== path) return next(url, context)
      return { format: 'module-typescript', source, shortCircuit: true }
    },
  })
}
