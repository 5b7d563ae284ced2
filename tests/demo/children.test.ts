import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { freePort, startChild } from '../../src/apps/demo/children.ts'

const folder = mkdtempSync(join(tmpdir(), 'fillcast-children-'))
afterAll(() => rmSync(folder, { recursive: true }))

const entry = (name: string, code: string): string => {
  const path = join(folder, `${name}.mjs`)
  writeFileSync(path, code)
  return path
}
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
const ignore = (): void => {}

test('a child gets only the given environment, reports ready, and can be stopped', async () => {
  const code =
    'console.log("READY " + [process.env.GIVEN, process.env.VITEST].join()); setInterval(() => {}, 1000)'
  const lines: string[] = []
  const child = await startChild(
    { name: 'one', entry: entry('one', code), env: { GIVEN: 'yes' }, ready: 'READY' },
    (name, line) => lines.push(`${name}: ${line}`),
  )
  expect(child.readyLine).toBe('READY yes,')
  expect(lines).toEqual(['one: READY yes,'])
  await child[Symbol.asyncDispose]()
  expect(isAlive(child.pid ?? 0)).toBe(false)
  await child[Symbol.asyncDispose]()
})

test('a child that ends before it is ready is an error that names the child', async () => {
  const start = startChild(
    { name: 'two', entry: entry('two', 'process.exit(3)'), ready: 'READY' },
    ignore,
  )
  await expect(start).rejects.toThrow('two ended with 3 before it was ready')
})

test('a child ends when its parent is killed', async () => {
  const gone = join(folder, 'gone')
  const child = entry(
    'child',
    `import { writeFileSync } from 'node:fs'
    process.on('disconnect', () => { writeFileSync(${JSON.stringify(gone)}, ''); process.exit() })
    console.log('READY')
    setInterval(() => {}, 1000)`,
  )
  const children = new URL('../../src/apps/demo/children.ts', import.meta.url).href
  const code = `import { startChild } from ${JSON.stringify(children)}
    await startChild({ name: 'grandchild', entry: ${JSON.stringify(child)}, ready: 'READY' }, () => {})
    console.log('READY')`
  const parent = await startChild(
    { name: 'parent', entry: entry('parent', code), ready: 'READY' },
    ignore,
  )
  expect(existsSync(gone)).toBe(false)
  process.kill(parent.pid ?? 0, 'SIGKILL')
  await vi.waitFor(() => expect(existsSync(gone)).toBe(true), { timeout: 10_000 })
})

/**
 * A port below the range from which the system picks free ports, so that no other process takes it
 * during the test.
 */
const wantedPort = 20_000 + (process.pid % 10_000)

test('a wanted port is used when it is free, else another port', async () => {
  const taken = createServer()
  await new Promise<void>((resolve, reject) => {
    taken.once('error', reject).listen(wantedPort, '127.0.0.1', resolve)
  })
  expect(await freePort(wantedPort)).not.toBe(wantedPort)
  await new Promise((resolve) => taken.close(resolve))
  expect(await freePort(wantedPort)).toBe(wantedPort)
})
