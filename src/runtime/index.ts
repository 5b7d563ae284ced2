export { putNewest } from './bounded.ts'
export { type Boundaries, type BoundaryName, boundaryNames, noBoundaries } from './boundaries.ts'
export { type CancelTimer, type Clock, isoTime, isWithin, systemClock } from './clock.ts'
export { type ConfigOf, readConfig, type Setting, type Settings, setting } from './config.ts'
export { ConfigError, FillcastError, InvariantError } from './errors.ts'
export { onFault, type Running, runProcess } from './lifecycle.ts'
export { createLogger, type Logger } from './logger.ts'
export { lagSecondsBuckets, Metrics, orderSecondsBuckets } from './metrics.ts'
export { type Probes, type ReadinessCheck, type Remarks, startProbes } from './probes.ts'
export { type Randomness, systemRandomness } from './random.ts'
export { linkTrouble } from './redis-heartbeat.ts'
export { RedisTime } from './redis-time.ts'
export { assertKeepsEverything, connectRedis, redisReady } from './redis.ts'
export { readRedisAddress } from './redis-address.ts'
export {
  listenHostSetting,
  logLevelSetting,
  portSetting,
  probePortSetting,
  redisUrlSetting,
  vaultKeysSetting,
} from './settings.ts'
