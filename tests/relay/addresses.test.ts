import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { Addresses } from '#transport'

const from = (remoteAddress: string, forwarded?: string) =>
  ({ headers: { 'x-forwarded-for': forwarded }, socket: { remoteAddress } }) as unknown as IncomingMessage

/** Whether the second address is full once the first has all the connections that one may have. */
function shareOneCount(first: string, second: string): boolean {
  const addresses = new Addresses({ connectionsPerAddress: 5, trustedProxies: 0 })
  for (let n = 0; n < 5; n += 1) addresses.hold(from(first))
  return addresses.objection(from(second))?.[0] === 'address_full'
}

test.each([
  ['an address with itself', '192.0.2.1', '192.0.2.1', true],
  ['IPv4 addresses', '192.0.2.1', '192.0.2.2', false],
  ['an IPv4 address and the same mapped into IPv6', '192.0.2.1', '::ffff:192.0.2.1', true],
  ['IPv4 addresses mapped into IPv6', '::ffff:192.0.2.1', '::ffff:192.0.2.2', false],
  ['IPv6 addresses of one network, however written', '2001:db8:0:7::1', '2001:0DB8::7:ffff:1:2:3', true],
  ['IPv6 addresses of neighbouring networks', '2001:db8:0:7::1', '2001:db8:0:8::1', false],
  ['a short address and another network', '::1', '2001:db8::1', false],
])('%s', (_what, first, second, isOne) => expect(shareOneCount(first, second)).toBe(isOne))

test('behind a proxy of ours, the client that it names is counted, and not what the client wrote before that', () => {
  const addresses = new Addresses({ connectionsPerAddress: 5, trustedProxies: 1 })
  for (let n = 0; n < 5; n += 1) addresses.hold(from('10.0.0.1', `198.51.100.${n}, 2001:db8::${n + 1}`))
  expect(addresses.objection(from('10.0.0.1', '2001:db8::9'))?.[0]).toBe('address_full')
  expect(addresses.objection(from('10.0.0.1', '2001:db8::9, 203.0.113.5'))).toBeNull()
})
