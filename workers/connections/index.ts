export { keepAssets } from './assets.ts'
export { ControlCache, unlessBlocked } from './control-cache.ts'
export { StandingHalts } from './halts.ts'
export { connectionHandler, createCheckSchedule } from './schedule.ts'
