import { clientOrderIdOf, dec, type OrderIntent } from '#domain'
import { intentOf } from '../domain/orders.ts'
import { settle } from '../support/fake-clock.ts'
import type { Followed } from './followed.ts'

export const bracket: Partial<OrderIntent> = {
  orderClass: 'bracket',
  orderType: 'limit',
  limitPrice: dec('180'),
  takeProfit: { limitPrice: dec('190') },
  stopLoss: { stopPrice: dec('170'), limitPrice: null },
}

/** The order reaches the broker as one of ours; what follows is the broker's to tell. */
export async function atBroker({ broker }: Followed, over: Partial<OrderIntent>): Promise<void> {
  const intent = intentOf(over)
  await broker.submit({ intent, clientOrderId: clientOrderIdOf('u1', intent.tradeId) })
  await settle()
}

export const exitsOf = ({ broker }: Followed) => {
  const legs = [...broker.orders.values()].filter(({ clientOrderId }) =>
    clientOrderId.startsWith('leg-'),
  )
  const idOf = (type: string): string =>
    legs.find(({ orderType }) => orderType === type)!.brokerOrderId
  return { profit: idOf('limit'), stop: idOf('stop') }
}
