export { type MarketDeps, startMarketRole } from './feed.ts'
