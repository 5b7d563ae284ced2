export { orderHandler } from './dispatch.ts'
export { createRiskFactsLoader } from './risk-facts.ts'
