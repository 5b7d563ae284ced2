import type { IncomingMessage } from 'node:http'
import { Refusal } from '../broker/refusal.ts'

/** A larger body is refused before it is read to the end. */
const BODY_BYTES_MAX = 64 * 1024

const tooLarge = (): Refusal =>
  new Refusal(413, 41310000, `request body is larger than ${BODY_BYTES_MAX} bytes`)

/**
 * Reads a JSON body regardless of its Content-Type (clients differ). Undefined if there is no body.
 * @throws {Refusal} 413 too large, 400 not JSON
 */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) throw tooLarge()
  const chunks: Buffer[] = []
  let bytes = 0
  // Leaving the loop must not destroy the request: the answer is sent on its connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) throw tooLarge()
    chunks.push(chunk)
  }
  if (bytes === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
  } catch {
    throw new Refusal(400, 40010000, 'request body format is invalid')
  }
}
