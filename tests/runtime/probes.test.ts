import { expect, onTestFinished, test } from 'vitest'
import { Metrics, type ReadinessCheck, type Remarks, startProbes } from '#runtime'

async function ask(notReady: ReadinessCheck, remarks?: Remarks): Promise<[number, string]> {
  const probes = await startProbes(
    { probePort: 0, listenHost: '127.0.0.1' },
    new Metrics(false),
    notReady,
    remarks,
  )
  onTestFinished(() => probes[Symbol.asyncDispose]())
  const answer = await fetch(`http://127.0.0.1:${probes.port}/readyz`)
  return [answer.status, await answer.text()]
}

const ready = (): undefined => undefined
const never = new Promise<never>(() => {})

test('ready with its remarks, or not ready with its reason', async () => {
  expect(await ask(ready)).toEqual([200, 'ready\n'])
  expect(await ask(ready, () => Promise.resolve(['paused: orders']))).toEqual([
    200,
    'ready\npaused: orders\n',
  ])
  expect(await ask(() => 'Redis is away')).toEqual([503, 'not ready: Redis is away\n'])
})

test('a check that fails or never ends is answered as not ready', async () => {
  expect(await ask(ready, () => Promise.reject(new Error('no Redis')))).toEqual([
    503,
    'not ready: no Redis\n',
  ])
  const late = [503, 'not ready: no answer to a check within 1 s\n']
  expect(await Promise.all([ask(() => never), ask(ready, () => never)])).toEqual([late, late])
})
