import fc from 'fast-check'
import { decode } from 'notepack.io'
import { describe, expect, test } from 'vitest'
import { EVENT_NUMBER_MAX, userRoom } from '#contract'
import { encodeEvent, readPacket } from '../../src/store/packet.ts'
import { EventUnwritableError } from '../../src/store/wire.ts'

// A client hears an event live, as MessagePack by Redis, or replayed, as JSON from the log. Both
// must be the same.

const ID = '1600000000001-00000'
const PREVIOUS = '1600000000000-00000'

/** The payload's bytes as a relay sends them: to a connected client, and to one that reconnects. */
function bytesOf(payload: object): [live: string, replayed: string] {
  const { json, a, b, c } = encodeEvent('alice', { event: 'trade.submitted', payload })
  const decoded: unknown = decode(Buffer.concat([a, Buffer.from(ID), b, Buffer.from(PREVIOUS), c]))
  const [, live, meta] = readPacket(decoded, userRoom('alice')) ?? []
  expect(meta).toEqual({ id: ID, prev: PREVIOUS })
  return [JSON.stringify(live), JSON.stringify(JSON.parse(json))]
}

/** Integers of every size in MessagePack, and beyond. */
const edges = [7, 8, 15, 16, 31, 32, 52, 53, 63, 64, 65, 1_000].flatMap((bits) =>
  [-1, 0, 1].flatMap((by) => [2 ** bits + by, -(2 ** bits) + by]),
)
const numbers = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(...edges, -0, NaN, 5e-324),
)
const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom('\ud800', '\udc00', 'a', 'é', '😀', '#############-#####'))
    .map((parts) => parts.join('')),
)
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    numbers,
    texts,
    fc.constantFrom(null, undefined, true, false),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(texts, tie('value'), { maxKeys: 20 }),
  ),
})).value

describe('a live event and its replay', () => {
  test('are the same bytes for any payload that is not refused', () => {
    let written = 0
    fc.assert(
      fc.property(fc.dictionary(fc.string(), values), (payload) => {
        try {
          const [live, replayed] = bytesOf(payload)
          expect(live).toBe(replayed)
          written += 1
        } catch (error) {
          if (!(error instanceof EventUnwritableError)) throw error
        }
      }),
      { numRuns: 3_000 },
    )
    expect(written).toBeGreaterThan(500)
  })

  test('are the same bytes for exact numbers; other whole numbers are refused', () => {
    fc.assert(
      fc.property(numbers, (quantity) => {
        if (!Number.isFinite(quantity) || Math.abs(quantity) > EVENT_NUMBER_MAX)
          expect(() => bytesOf({ quantity })).toThrow(EventUnwritableError)
        else expect(bytesOf({ quantity })).toEqual(Array(2).fill(JSON.stringify({ quantity })))
      }),
      { numRuns: 3_000 },
    )
  })

  test('a refusal has the path of the value, not the value', () => {
    const refused = (payload: object) => () =>
      encodeEvent('alice', { event: 'state.resync', payload })
    expect(refused({ updates: { prices: [1, 2 ** 64] } })).toThrow(
      'an event cannot be written: updates.prices[1] must be a number of at most 9007199254740991',
    )
    expect(refused({ at: new Date(0) })).toThrow(
      'an event cannot be written: at must be a plain object',
    )
    expect(refused({ n: 1n })).toThrow('an event cannot be written: n must not be a bigint')
    expect(refused(JSON.parse('{"__proto__":1}') as object)).toThrow(EventUnwritableError)
  })

  test('have text whose half surrogates were replaced, for any length', () => {
    for (const message of ['\ud800', `\ud800${'a'.repeat(40)}`, 'a\udc00b'])
      expect(bytesOf({ message })).toEqual(
        Array(2).fill(JSON.stringify({ message: message.toWellFormed() })),
      )
  })
})
