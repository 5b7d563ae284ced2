import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { createLogger } from '#runtime'
import { Origins } from '#transport'

const lines: string[] = []
const log = createLogger('test', 'info', { write: (line) => void lines.push(line) })
const asked = (origin?: string, host = 'relay.example') =>
  ({ headers: { origin, host } }) as unknown as IncomingMessage

test.each([
  ['none', undefined, 'relay.example', true],
  ['one that is allowed', 'https://app.example', 'relay.example', true],
  ['its own host', 'https://relay.example', 'relay.example', true],
  ['its own host and port', 'http://127.0.0.1:3001', '127.0.0.1:3001', true],
  [
    'its own host, with the port that https has',
    'https://relay.example:443',
    'relay.example',
    true,
  ],
  [
    'its own host, which says the port that http has',
    'http://relay.example',
    'relay.example:80',
    true,
  ],
  ['its own host as others write it', 'https://RELAY.example', 'relay.Example', true],
  ['its own host at another port', 'http://relay.example:8080', 'relay.example', false],
  ['a host below its own', 'https://evil.relay.example', 'relay.example', false],
  ['a host that begins like its own', 'https://relay.example.evil', 'relay.example', false],
  ['another host', 'https://evil.example', 'relay.example', false],
  ['a page without one', 'null', 'null', false],
  ['a file', 'file://relay.example', 'relay.example', false],
  ['an extension', 'chrome-extension://relay.example', 'relay.example', false],
  ['nothing of the kind', 'relay.example', 'relay.example', false],
  ['an empty one', '', '', false],
])('origin: %s', (_what, origin, host, isAccepted) => {
  expect(new Origins(['https://app.example'], 'SETTING', log).accepts(asked(origin, host))).toBe(
    isAccepted,
  )
})

test('made-up origins do not fill the log', () => {
  const origins = new Origins([], 'SETTING', log)
  lines.length = 0
  for (let n = 0; n < 1_000; n += 1)
    origins.accepts(asked(`https://${'x'.repeat(10_000)}${n}.example`))
  expect(lines).toHaveLength(100)
  expect(lines[0]?.length).toBeLessThan(1_000)
})
