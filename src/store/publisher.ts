import { Emitter } from '@socket.io/redis-emitter'
import type { Redis } from 'ioredis'
import { marketRoom } from '#contract'
import type { Quote } from './market.ts'
import { writable } from './wire.ts'

/** Volatile events: only clients that are connected now get them. */
export interface Publisher {
  quote(quote: Quote): void
}

/**
 * @param onFailure called when a quote was not published. The emitter drops the promise of its
 *   publication; an unhandled rejection would end the process.
 */
export function createPublisher(redis: Redis, onFailure: () => void): Publisher {
  const emitter = new Emitter({
    publish: (channel: string, packet: Buffer): void =>
      void redis.publish(channel, packet).catch(onFailure),
  })
  return {
    quote(quote) {
      try {
        emitter.to(marketRoom(quote.symbol)).emit('market.quote', writable(quote))
      } catch {
        onFailure()
      }
    },
  }
}
