import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { importsOf, packageOf, readSources, root } from '../tidy/source.ts'

const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>
}

// The image has no development dependencies. An import of one would fail there and nowhere else.
test('a package that a process imports is a dependency, not a development dependency', () => {
  const isOurs = (name: string): boolean => /^(src|workers|relay)\//.test(name)
  const missing = readSources('src', 'workers', 'relay').flatMap((source) =>
    importsOf(source)
      .filter(
        (name) => !name.startsWith('node:') && !isOurs(name) && !(packageOf(name) in dependencies),
      )
      .map((name) => `${source.path} imports ${name}`),
  )
  expect(missing).toEqual([])
})
