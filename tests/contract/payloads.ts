import type { SubmitOrder } from '#contract'

/** Payloads of `submitOrder`, one of each kind. */

export const market: SubmitOrder = {
  userId: 'u1',
  connectionId: 'broker_1',
  tradeId: 'trade_1',
  symbol: 'AAPL',
  side: 'buy',
  orderType: 'market',
  quantity: '10',
}
export const limit: SubmitOrder = { ...market, orderType: 'limit', limitPrice: '150' }
export const trailing: SubmitOrder = { ...market, orderType: 'trailing_stop', trailPercent: '1' }
export const bracket: SubmitOrder = {
  ...limit,
  orderClass: 'bracket',
  takeProfit: { limitPrice: '155' },
  stopLoss: { stopPrice: '145', limitPrice: '144.5' },
}
export const oco: SubmitOrder = { ...bracket, orderClass: 'oco', side: 'sell', limitPrice: null }
export const oto: SubmitOrder = { ...market, orderClass: 'oto', stopLoss: { stopPrice: '145' } }
export const crypto: SubmitOrder = {
  ...market,
  symbol: 'BTC/USD',
  timeInForce: 'gtc',
  quantity: '0.000000001',
}
export const sized: SubmitOrder = { ...market, quantity: null, notional: '1' }
