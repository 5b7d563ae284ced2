import { describe, expect, test } from 'vitest'
import { dec } from '#domain'
import { ticketOf } from '../conformance/broker-harness.ts'
import { answering } from './answering.ts'

const terms = {
  quantity: null,
  limitPrice: dec('1'),
  stopPrice: null,
  trail: null,
  timeInForce: null,
}

/** Answers of a proxy, a mesh, a load balancer: they say nothing of what the broker did. */
const IN_BETWEEN: readonly (readonly [what: string, body: string])[] = [
  ['plain text', 'client_order_id must be unique'],
  ['a page', '<html><body>not here</body></html>'],
  ['nothing', ''],
  ['JSON that is no answer of the broker', '{"error":"rbac: access denied"}'],
  ['a JSON string', '"upstream connect error"'],
]

describe('P2 an answer from a proxy between us and the broker', () => {
  describe.each([400, 401, 403, 404, 422])('with status %i', (status) => {
    test.each(IN_BETWEEN)(
      'and %s is no refusal, no duplicate and no proof of absence',
      async (_what, body) => {
        await using server = await answering(status, body)
        const { broker } = server
        expect(await broker.submit(ticketOf())).toEqual({
          kind: 'unknown',
          cause: `status ${status}`,
        })
        const ticket = { brokerOrderId: 'b1', clientOrderId: 'c1', terms }
        expect((await broker.replace(ticket)).kind).toBe('unknown')
        expect((await broker.cancel('b1')).kind).toBe('unknown')
        await expect(broker.findByClientOrderId('c1')).rejects.toMatchObject({
          code: 'UNAVAILABLE',
        })
        await expect(broker.readPosition('AAPL')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
        await expect(broker.readAccount()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      },
    )
  })

  test('an error in the format of the broker is accepted as its answer', async () => {
    await using server = await answering(
      404,
      '{"code":40410000,"message":"order not found for c1"}',
    )
    expect(await server.broker.findByClientOrderId('c1')).toBeNull()
    expect(await server.broker.cancel('b1')).toEqual({
      kind: 'refused',
      message: 'order not found for c1',
    })
  })
})
