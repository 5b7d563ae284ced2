/** A Redis server of our own: private port, private folder, gone when stopped or when this process ends. */
export type EmbeddedRedis = {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Ends it at once, as a crash would; its data folder stays for `restart`. */
  kill(): Promise<void>
  /** Starts it again on the same port, with the same folder. */
  restart(): Promise<void>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
export type EmbeddedRedisOptions = {
  /** Path of the server; default: REDIS_SERVER_BIN, else `redis-server` on the PATH. */
  bin?: string
  /** Keep an append-only file, so that `kill` and `restart` lose nothing. */
  persistent?: boolean
  args?: readonly string[]
}
/** @throws when the server does not answer within 10 s */
export function startEmbeddedRedis(options?: EmbeddedRedisOptions): Promise<EmbeddedRedis>
