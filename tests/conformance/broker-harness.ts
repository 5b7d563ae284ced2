import { clientOrderIdOf, dec, type OrderIntent } from '#domain'
import { systemClock, systemRandomness } from '#runtime'
import { startSandbox } from '#sandbox'
import type { BrokerCredentials } from '#store'
import {
  createAlpacaBroker,
  createTransport,
  endpointOf,
} from '../../workers/broker/alpaca/index.ts'
import type { Broker, StreamUpdate } from '../../workers/broker/port.ts'
import { HandshakeGate } from '../../workers/broker/handshakes.ts'
import { intentOf } from '../domain/orders.ts'
import { FakeBroker } from '../support/fake-broker.ts'

/** A broker account, and the actions of a test at the broker. */
export type Harness = Readonly<{
  broker: Broker
  fill(clientOrderId: string, price: string, quantity?: string): Promise<void>
  deposit(amount: string): Promise<void>
  quote(symbol: string, bid: string, ask: string): void
  /** Takes the order's last execution back. */
  bust(clientOrderId: string): Promise<void>
  correct(clientOrderId: string, to: Readonly<{ quantity: string; price: string }>): Promise<void>
  loseNextReply(): void
  revoke(): void
  restore(): void
}>

/** A sandbox where nothing matches by itself, with an account for keys and one for a token. */
export async function openSandbox() {
  const sandbox = await startSandbox({ partialFills: false, tickMs: 0 })
  sandbox.control.addAccount({ keyId: 'token-key', secret: 'token-secret', oauthToken: 'a-token' })
  sandbox.control.holdMatching()
  const transport = createTransport(endpointOf('sandbox', sandbox.url), systemClock)
  return {
    sandbox,
    transport,
    async close(): Promise<void> {
      await transport.close()
      await sandbox.close()
    },
  }
}

export const realTimers = () => {
  return {
    clock: systemClock,
    random: systemRandomness,
    handshakes: new HandshakeGate(systemClock),
  }
}

export const onSandbox = (
  { sandbox, transport }: Pick<Awaited<ReturnType<typeof openSandbox>>, 'sandbox' | 'transport'>,
  credentials: BrokerCredentials = { keyId: 'demo-key', secretKey: 'demo-secret' },
  keyId = 'demo-key',
): Harness => {
  const broker = createAlpacaBroker(
    credentials,
    endpointOf('sandbox', sandbox.url),
    transport,
    realTimers(),
  )
  const lastExecutionOf = async (clientOrderId: string): Promise<string> => {
    const order = await broker.findByClientOrderId(clientOrderId)
    const { executions } = sandbox.control.ledger(keyId).accounts[keyId] ?? { executions: [] }
    return String(
      executions.findLast((one) => one['order_id'] === order?.brokerOrderId)?.['execution_id'],
    )
  }
  return {
    broker,
    async fill(clientOrderId, price, qty) {
      const order = await broker.findByClientOrderId(clientOrderId)
      sandbox.control.fillOrder(order?.brokerOrderId ?? '', {
        price,
        ...(qty === undefined ? {} : { qty }),
      })
    },
    bust: async (id) => void sandbox.control.bustExecution(await lastExecutionOf(id)),
    correct: async (id, { price, quantity: qty }) =>
      void sandbox.control.correctExecution(await lastExecutionOf(id), { price, qty }),
    deposit: async (amount) => void sandbox.control.moveMoney(keyId, { type: 'CSD', amount }),
    quote: (symbol, bid, ask) => sandbox.control.setPrice(symbol, { bid, ask, last: ask }),
    loseNextReply: () => sandbox.control.holdAnswers({ drop: true }),
    revoke: () => sandbox.control.revokeKey(keyId),
    restore: () => sandbox.control.restoreKey(keyId),
  }
}

export const inMemory = (): Harness => {
  const broker = new FakeBroker()
  broker.activityStreams.isOffered = true
  return {
    broker,
    fill: async (...args) => broker.fill(...args),
    deposit: async (amount) => broker.deposit(amount),
    bust: async (clientOrderId) => broker.bust(clientOrderId),
    correct: async (clientOrderId, to) => broker.correct(clientOrderId, to),
    quote: (symbol, bid, ask) =>
      void broker.quotes.set(symbol, { bid: dec(bid), ask: dec(ask), last: dec(ask) }),
    loseNextReply: () => void broker.faults.push('lose_reply'),
    revoke: () => void (broker.isRevoked = true),
    restore: () => void (broker.isRevoked = false),
  }
}

let trades = 0
export const ticketOf = (over: Partial<OrderIntent> = {}) => {
  const intent = intentOf({ tradeId: `conformance-${(trades += 1)}`, quantity: dec('10'), ...over })
  return { intent, clientOrderId: clientOrderIdOf(intent.userId, intent.tradeId) }
}

/** A stream and its updates. */
export function listen(broker: Broker) {
  const told = { live: 0, updates: [] as StreamUpdate[], down: [] as string[] }
  const stream = broker.openTradeStream({
    onLive: () => (told.live += 1),
    onUpdate: (update) => void told.updates.push(update),
    onUnreadable: (why) => void told.down.push(`unreadable ${why}`),
    onDown: ({ kind, final }) => void told.down.push(`${kind} ${final ? 'final' : 'passing'}`),
  })
  return { told, stream }
}
