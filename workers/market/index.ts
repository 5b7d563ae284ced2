export { startMarketRole } from './feed.ts'
