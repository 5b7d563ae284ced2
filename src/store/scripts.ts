import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Redis } from 'ioredis'

type Argument = string | number | Buffer

/** The store's scripts, as commands of one connection. Redis keeps them by hash; a forgotten one is sent again by ioredis. */
export type Scripts = Readonly<{
  commit(state: string, log: string, lease: string, ...args: Argument[]): Promise<[1 | 0 | -1, string, string]>
  leaseTake(lease: string, ttlMs: number): Promise<string>
  leaseRenew(lease: string, token: string, ttlMs: number): Promise<0 | 1>
  leaseRelease(lease: string, token: string): Promise<0 | 1>
  connectionPut(control: string, field: string, record: string): Promise<string>
  sessionBar(control: string, sessionId: string, barsMax: number, channel: string, packet: Buffer): Promise<1>
  deviceEnter(devices: string, deviceId: string, ...args: Argument[]): Promise<string>
}>

const keyCounts = {
  commit: 3,
  leaseTake: 1,
  leaseRenew: 1,
  leaseRelease: 1,
  connectionPut: 1,
  sessionBar: 1,
  deviceEnter: 1,
} as const
const fileOf = (name: string): string => `${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}.lua`

const sources = Object.entries(keyCounts).map(([name, numberOfKeys]) => ({
  name: name as keyof Scripts,
  numberOfKeys,
  lua: readFileSync(join(import.meta.dirname, fileOf(name)), 'utf8'),
}))

/** Adds the scripts to a connection; harmless when repeated. */
export function withScripts(redis: Redis): Redis & Scripts {
  for (const { name, numberOfKeys, lua } of sources)
    if (!(name in redis)) redis.defineCommand(name, { numberOfKeys, lua })
  return redis as Redis & Scripts
}
