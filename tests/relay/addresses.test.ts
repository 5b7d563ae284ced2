import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { Addresses } from '#transport'
import { FakeClock } from '../support/fake-clock.ts'

const from = (remoteAddress: string, forwarded?: string) =>
  ({
    headers: { 'x-forwarded-for': forwarded },
    socket: { remoteAddress },
  }) as unknown as IncomingMessage

const LIMITS = { connectionsPerAddress: 5, handshakesPerSecond: 1_000, trustedProxies: 0 } as const

/** True if the second address is full once the first address has its maximum of connections. */
function shareOneCount(first: string, second: string): boolean {
  const addresses = new Addresses(LIMITS, new FakeClock())
  for (let n = 0; n < 5; n += 1) addresses.hold(from(first))
  return addresses.objection(from(second))?.[0] === 'address_full'
}

test.each([
  ['an address with itself', '192.0.2.1', '192.0.2.1', true],
  ['IPv4 addresses', '192.0.2.1', '192.0.2.2', false],
  ['an IPv4 address and the same mapped into IPv6', '192.0.2.1', '::ffff:192.0.2.1', true],
  ['IPv4 addresses mapped into IPv6', '::ffff:192.0.2.1', '::ffff:192.0.2.2', false],
  [
    'IPv6 addresses of one network, however written',
    '2001:db8:0:7::1',
    '2001:0DB8::7:ffff:1:2:3',
    true,
  ],
  ['IPv6 addresses of neighbouring networks', '2001:db8:0:7::1', '2001:db8:0:8::1', false],
  ['a short address and another network', '::1', '2001:db8::1', false],
])('%s', (_what, first, second, isOne) => expect(shareOneCount(first, second)).toBe(isOne))

test('behind a proxy of ours, the address that the proxy names is counted', () => {
  const addresses = new Addresses({ ...LIMITS, trustedProxies: 1 }, new FakeClock())
  for (let n = 0; n < 5; n += 1)
    addresses.hold(from('10.0.0.1', `198.51.100.${n}, 2001:db8::${n + 1}`))
  expect(addresses.objection(from('10.0.0.1', '2001:db8::9'))?.[0]).toBe('address_full')
  expect(addresses.objection(from('10.0.0.1', '2001:db8::9, 203.0.113.5'))).toBeNull()
})

describe('trusted proxies', () => {
  const named = (...trustedProxies: string[]) =>
    new Addresses({ ...LIMITS, connectionsPerAddress: 1, trustedProxies }, new FakeClock())
  /**
   * Which of these addresses is the client's: the one that is full once the request's connection is
   * held.
   */
  const clientOf = (
    trusted: string[],
    request: IncomingMessage,
    candidates: string[],
  ): string[] => {
    const addresses = named(...trusted)
    addresses.hold(request)
    return candidates.filter(
      (one) => addresses.objection(from('10.9.9.9', one))?.[0] === 'address_full',
    )
  }
  const candidates = ['198.51.100.1', '203.0.113.1', '10.0.0.7']

  test.each<[string, string[], string, string, string[]]>([
    ['of one network', ['10.0.0.0/8'], '10.0.0.1', '203.0.113.1, 198.51.100.1', ['198.51.100.1']],
    [
      'two behind another',
      ['10.0.0.0/8'],
      '10.0.0.1',
      '203.0.113.1, 198.51.100.1, 10.0.0.7',
      ['198.51.100.1'],
    ],
    [
      'mapped into IPv6',
      ['10.0.0.0/8'],
      '::ffff:10.0.0.1',
      '203.0.113.1, 198.51.100.1',
      ['198.51.100.1'],
    ],
    ['by address', ['10.0.0.1', '10.9.9.9'], '10.0.0.1', '198.51.100.1', ['198.51.100.1']],
    ['of IPv6', ['fd00::/8', '10.9.9.9'], 'fd00::1', '198.51.100.1', ['198.51.100.1']],
  ])('name their client: %s', (_what, trusted, remote, forwarded, client) => {
    expect(clientOf(trusted, from(remote, forwarded), candidates)).toEqual(client)
  })

  test('are the only trusted ones: a name from any other address is ignored', () => {
    const addresses = named('10.0.0.0/8')
    addresses.hold(from('192.0.2.1', '198.51.100.1'))
    expect(addresses.objection(from('10.9.9.9', '198.51.100.1'))).toBeNull()
    expect(addresses.objection(from('192.0.2.1', '203.0.113.1'))?.[0]).toBe('address_full')
  })
})

describe('handshakes', () => {
  const many = (count: number, act: () => unknown): number =>
    Array.from({ length: count }, act).filter((objection) => objection === null).length

  test('of 900 clients at once are accepted, also from one address', () => {
    const addresses = new Addresses({ ...LIMITS, connectionsPerAddress: 1_000 }, new FakeClock())
    expect(many(900, () => addresses.objection(from('192.0.2.1')))).toBe(900)
  })

  test('are no more than the limit in any second, wherever it begins', async () => {
    const clock = new FakeClock()
    const limits = { ...LIMITS, connectionsPerAddress: 100_000, handshakesPerSecond: 100 }
    const addresses = new Addresses(limits, clock)
    await clock.advance(900)
    expect(many(200, () => addresses.objection(from('192.0.2.1')))).toBe(100)
    await clock.advance(200)
    expect(many(200, () => addresses.objection(from('192.0.2.1')))).toBeLessThanOrEqual(20)
    await clock.advance(2_000)
    expect(many(200, () => addresses.objection(from('192.0.2.1')))).toBe(100)
  })

  test('of one address are at most its connections in the time that closes silent ones', async () => {
    const clock = new FakeClock()
    const addresses = new Addresses({ ...LIMITS, connectionsPerAddress: 50 }, clock)
    expect(many(60, () => addresses.objection(from('192.0.2.1')))).toBe(50)
    await clock.advance(3_000)
    addresses.tick()
    expect(addresses.objection(from('192.0.2.1'))?.[0]).toBe('handshake_rate')
    expect(addresses.objection(from('192.0.2.2'))).toBeNull()
    await clock.advance(7_001)
    expect(many(60, () => addresses.objection(from('192.0.2.1')))).toBe(50)
  })
})

describe('TCP connections', () => {
  const tcp = (remoteAddress: string) =>
    Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket
  const full = (addresses: Addresses, remoteAddress: string): number => {
    let count = 0
    while (count < 1_000 && addresses.admitTcp(tcp(remoteAddress))) count += 1
    return count
  }

  test('of one address are bounded, for any request', () => {
    const addresses = new Addresses(LIMITS, new FakeClock())
    expect(full(addresses, '192.0.2.1')).toBe(31)
    expect(full(addresses, '::ffff:192.0.2.1')).toBe(0)
    expect(full(addresses, '192.0.2.2')).toBe(31)
  })

  test('count once, until they are closed', () => {
    const addresses = new Addresses(LIMITS, new FakeClock())
    const first = tcp('192.0.2.1')
    addresses.admitTcp(first)
    expect(full(addresses, '192.0.2.1')).toBe(30)
    addresses.excuseTcp(first)
    first.emit('close')
    expect(full(addresses, '192.0.2.1')).toBe(1)
  })

  test('of our own proxies are not counted, for any number of clients', () => {
    const limits = { ...LIMITS, trustedProxies: ['10.0.0.0/8'] }
    expect(full(new Addresses(limits, new FakeClock()), '10.0.0.1')).toBe(1_000)
    expect(
      full(new Addresses({ ...LIMITS, trustedProxies: 1 }, new FakeClock()), '192.0.2.1'),
    ).toBe(1_000)
  })
})
