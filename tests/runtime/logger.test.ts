import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createLogger } from '#runtime'

/** The line that one log call writes. */
function written(write: (log: ReturnType<typeof createLogger>) => void): string {
  let text = ''
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  write(createLogger('test', 'info', sink))
  return text
}

describe('createLogger', () => {
  test('a line is JSON: a level by name, a time, an event and its fields', () => {
    const line = JSON.parse(written((log) => log.info({ orderId: 'o1' }, 'order.done'))) as Record<
      string,
      unknown
    >
    expect(line).toMatchObject({ level: 'info', name: 'test', orderId: 'o1', msg: 'order.done' })
    expect(line['time']).toMatch(/^\d{4}-.*Z$/)
  })

  test.each([
    [{ secretKey: 'HIDDEN' }],
    [{ connection: { secret: 'HIDDEN' } }],
    [{ request: { options: { authorization: 'HIDDEN' } } }],
    [{ handshake: { headers: { cookie: 'HIDDEN' } } }],
  ])('secrets in %j do not appear', (fields) => {
    expect(written((log) => log.warn(fields, 'x'))).not.toContain('HIDDEN')
  })

  test('an error is its type, code, message, stack and cause, never its other fields', () => {
    const cause = Object.assign(new Error('inner'), { config: { headers: { key: 'HIDDEN' } } })
    const error = Object.assign(new TypeError('outer', { cause }), {
      code: 'E1',
      response: 'HIDDEN',
    })
    const text = written((log) => log.error({ error }, 'x'))
    expect(text).not.toContain('HIDDEN')
    expect(JSON.parse(text)).toMatchObject({
      error: { type: 'TypeError', code: 'E1', message: 'outer', cause: { message: 'inner' } },
    })
  })
})
