import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

/**
 * A process whose `running` is this text of code, and which then does `afterwards`; returns its
 * output and exit code.
 */
async function processOf(
  running: string,
  afterwards = '',
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = `
    import { createLogger, runProcess } from '#runtime'
    await runProcess('test', async () => ({ running: ${running}, log: createLogger('test', 'info') }))
    ${afterwards}`
  const root = new URL('../..', import.meta.url)
  return run(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    timeout: 20_000,
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code,
      stdout,
      stderr,
    }),
  )
}

test('a process that reports itself broken drains, logs the reason, and exits with 1', async () => {
  const { code, stdout } = await processOf(`{
    broken: Promise.resolve('jobs wait, and none is taken'),
    [Symbol.asyncDispose]: async () => console.log('drained'),
  }`)
  expect(code).toBe(1)
  expect(stdout).toMatch(/process\.broken[^]*drained[^]*process\.stopped/)
  expect(stdout).toContain('jobs wait, and none is taken')
})

const DRAINS = `{ [Symbol.asyncDispose]: async () => console.log('drained') }`

test.each([
  [
    'thrown outside of every promise',
    `setTimeout(() => { throw new Error('planted') })`,
    'process.uncaught_exception',
  ],
  ['an unhandled rejection', `Promise.reject(new Error('planted'))`, 'process.unhandled_rejection'],
  [
    'an error event without a listener',
    `new (await import('events')).EventEmitter().emit('error', new Error('planted'))`,
  ],
])(
  '%s is logged by our logger, and the process drains and exits with 1',
  async (_what, fault, event = 'process.') => {
    const { code, stdout, stderr } = await processOf(DRAINS, fault)
    expect(code).toBe(1)
    expect(stdout).toMatch(/"level":"fatal"[^]*drained[^]*process\.stopped/)
    expect(stdout).toContain(event)
    expect(stdout).toContain('"message":"planted"')
    expect(stderr).toBe('')
  },
)

test('a fault during the drain ends nothing early, and sets the exit code', async () => {
  const drains = `{ async [Symbol.asyncDispose]() {
    setTimeout(() => { throw new Error('planted') })
    await new Promise((resolve) => setTimeout(resolve, 200))
    console.log('drained')
  } }`
  const { code, stdout } = await processOf(
    drains,
    `process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 10_000)`,
  )
  expect(code).toBe(1)
  expect(stdout).toMatch(/planted[^]*drained[^]*process\.stopped/)
})

test('a fault that repeats does not fill the disk', async () => {
  const drains = `{ [Symbol.asyncDispose]: () => new Promise((resolve) => setTimeout(resolve, 500)) }`
  const { code, stdout } = await processOf(
    drains,
    `setInterval(() => { throw new Error('planted') }, 1)`,
  )
  expect(code).toBe(1)
  expect(stdout.split('\n').filter((line) => line.includes('planted'))).toHaveLength(20)
})

test('a fault before a process has started ends the process with a message', async () => {
  const program = `
    import { runProcess } from '#runtime'
    await runProcess('test', () => new Promise(() => setTimeout(() => { throw new Error('planted') })))`
  const root = new URL('../..', import.meta.url)
  const ended = await run(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
  }).catch((error: { code: number; stderr: string }) => error)
  expect(ended).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^test cannot start\. Error: planted/) as string,
  })
})
