import { serverEvents } from '#contract'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Received } from '../../src/apps/demo/judge.ts'
import { type Demo, startDemo } from '../../src/apps/demo/launcher.ts'
import { playOnce } from '../../src/apps/demo/once.ts'

const stack = new AsyncDisposableStack()
const lines: string[] = []
let demo: Demo
beforeAll(async () => {
  const ports = { page: 0, relay: 0, dashboard: 0, sandbox: 0 }
  const onLine = (name: string, line: string): void => void lines.push(`${name} ${line}`)
  demo = await startDemo(
    { ports, seed: '7', partialFills: false, redisUrl: undefined, onLine },
    stack,
  ).catch((cause: unknown) => {
    throw new Error(`the demo did not start:\n${lines.slice(-40).join('\n')}`, { cause })
  })
}, 60_000)
afterAll(() => stack.disposeAsync(), 60_000)

test('the flow examples of the specification hold on the whole system', async () => {
  const received: Received[] = []
  expect(await playOnce(demo, (one) => received.push(one)), lines.slice(-40).join('\n')).toEqual([])
  expect(new Set(received.map(({ client }) => client))).toEqual(
    new Set(['laptop', 'phone', 'other']),
  )
  expect(received.every(({ event }) => Object.hasOwn(serverEvents, event))).toBe(true)
}, 60_000)

test('no process but the sandbox, whose keys they are, wrote a secret', () => {
  expect(lines.filter((line) => !line.startsWith('sandbox')).join('\n')).not.toMatch(
    /demo-secret|eyJhbGci/,
  )
})
