export { createAlpacaBroker } from './broker.ts'
export { createTransport, type Endpoint, endpointOf } from './endpoint.ts'
export { openMarketFeed } from './market-feed.ts'
