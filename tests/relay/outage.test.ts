import { expect, test } from 'vitest'
import { createLogger } from '#runtime'
import { Outage } from '#transport'
import { FakeClock } from '../support/fake-clock.ts'
import { signed, Stage } from './harness.ts'

test('an outage is one log line at its start and one at its end, for any failures', async () => {
  const lines: { msg: string; failures?: object }[] = []
  const log = createLogger('test', 'info', {
    write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[0]),
  })
  const clock = new FakeClock()
  const outage = new Outage(clock, log)
  const told = (): string[] => lines.map(({ msg }) => msg)
  outage.tick()
  expect(told()).toEqual([])
  for (let n = 0; n < 1_000; n += 1) outage.failed(n % 2 === 0 ? 'one' : 'other', new Error('away'))
  await clock.advance(30_000) // as long as a connection may go without being looked at
  outage.tick()
  outage.failed('one', new Error('away'))
  expect(told()).toEqual(['relay.outage_began'])
  await clock.advance(46_000)
  outage.tick()
  outage.tick()
  expect(told()).toEqual(['relay.outage_began', 'relay.outage_over'])
  expect(lines[1]).toMatchObject({ failures: { one: 501, other: 500 }, forMs: 30_000 })
  outage.failed('one', new Error('away'))
  expect(told().at(-1)).toBe('relay.outage_began')
})

test('Redis is away - refused clients are counted, and not logged one by one', async () => {
  await using own = await Stage.open()
  const redis = own.redis.connect()
  redis.call('SHUTDOWN', 'NOSAVE').catch(() => {}) // it is not answered
  const ready = () =>
    fetch(`http://127.0.0.1:${own.relay.probes.port}/readyz`).then(({ status }) => status)
  await expect.poll(ready, { timeout: 10_000 }).toBe(503)
  redis.disconnect()
  const clients = await Promise.all(
    Array.from({ length: 20 }, async (_, n) =>
      own.connect({ query: { token: await signed({ sub: `away-${n}` }) } }),
    ),
  )
  await expect
    .poll(() => clients.map((client) => client.names()), { timeout: 10_000 })
    .toEqual(clients.map(() => ['connection.error']))
  const about = (event: string): string[] => own.logged.filter((line) => line.includes(event))
  expect(about('relay.outage_began')).toHaveLength(1)
  expect(about('"connection.')).toEqual([])
})
