import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

/** A process whose `running` is this text of code; answers what it printed and how it ended. */
async function processOf(running: string): Promise<{ code: number; stdout: string }> {
  const program = `
    import { createLogger, runProcess } from '#runtime'
    await runProcess('test', async () => ({ running: ${running}, log: createLogger('test', 'info') }))`
  const root = new URL('../..', import.meta.url)
  return run(process.execPath, ['--input-type=module', '-e', program], { cwd: root, timeout: 20_000 }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
  )
}

test('a process that says it is broken drains, and exits with 1 and the reason in its log', async () => {
  const { code, stdout } = await processOf(`{
    broken: Promise.resolve('jobs wait, and none is taken'),
    [Symbol.asyncDispose]: async () => console.log('drained'),
  }`)
  expect(code).toBe(1)
  expect(stdout).toMatch(/process\.broken[^]*drained[^]*process\.stopped/)
  expect(stdout).toContain('jobs wait, and none is taken')
})
