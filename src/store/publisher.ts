import { Emitter } from '@socket.io/redis-emitter'
import type { Redis } from 'ioredis'
import { marketRoom } from '#contract'
import type { Quote } from './market.ts'
import { writable } from './wire.ts'

/** Volatile events: whoever is connected hears them, nobody else ever will. */
export interface Publisher {
  quote(quote: Quote): void
}

/**
 * @param onFailure a quote was not published. The emitter drops the promise of its publication; a
 *   rejection without an owner would end the process
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
