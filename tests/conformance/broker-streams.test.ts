import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dec } from '#domain'
import type { ActivityEvent } from '../../workers/broker/port.ts'
import {
  type Harness,
  inMemory,
  listen,
  onSandbox,
  openSandbox,
  ticketOf,
} from './broker-harness.ts'

let real: Awaited<ReturnType<typeof openSandbox>>
beforeAll(async () => void (real = await openSandbox()))
afterAll(() => real.close())

describe.each<[string, () => Harness]>([
  ['in memory', inMemory],
  ['Alpaca’s SDK on the sandbox', () => onSandbox(real)],
  [
    'Alpaca’s SDK with an access token',
    () => onSandbox(real, { accessToken: 'a-token' }, 'token-key'),
  ],
])('streams of broker %s', (_name, make) => {
  test('the stream and the list report the same executions with the same spans', async () => {
    const { broker, fill } = make()
    const { told, stream } = listen(broker)
    await expect.poll(() => told.live).toBe(1)
    const since = new Date(Date.UTC(2020, 0)).toISOString()
    const ticket = ticketOf()
    await broker.submit(ticket)
    await fill(ticket.clientOrderId, '180.25', '4')
    await fill(ticket.clientOrderId, '180.5')
    const mine = () =>
      told.updates.filter(({ order }) => order.clientOrderId === ticket.clientOrderId)
    await expect.poll(() => mine().filter(({ execution }) => execution !== null)).toHaveLength(2)
    const streamed = mine().flatMap(({ execution }) => execution ?? [])
    expect(streamed).toMatchObject([
      { quantity: '4', price: '180.25', cumulativeQuantity: '4' },
      { quantity: '6', price: '180.5', cumulativeQuantity: '10' },
    ])
    expect(mine().at(-1)?.order).toMatchObject({ status: 'filled', filledQuantity: '10' })
    const { brokerOrderId } = mine()[0]!.order
    const listed = (await broker.listExecutions(since)).filter(
      (one) => one.brokerOrderId === brokerOrderId,
    )
    const spans = (
      all: readonly { quantity: string; price: string; cumulativeQuantity: string }[],
    ) => all.map(({ quantity, price, cumulativeQuantity }) => [quantity, price, cumulativeQuantity])
    expect(spans(listed.flatMap((row) => ('execution' in row ? row.execution : [])))).toEqual(
      spans(streamed),
    )
    await stream.close()
  })

  test('the activity stream reports executions and cash, and resumes after an event', async () => {
    const { broker, fill, deposit } = make()
    const told: ActivityEvent[] = []
    const states: string[] = []
    const open = (sinceId: string | null) =>
      broker.openActivityStream(sinceId, {
        onLive: () => void states.push('live'),
        onActivity: (event) => void told.push(event),
        onGap: (why) => void states.push(`gap ${why}`),
        onDown: ({ message }) => void states.push(`down ${message}`),
        onUnavailable: () => void states.push('none'),
      })
    const first = open(null)
    await expect.poll(() => states).toEqual(['live'])
    const ticket = ticketOf({ quantity: dec('3') })
    const placed = await broker.submit(ticket)
    await fill(ticket.clientOrderId, '101.5', '1')
    await deposit('25')
    await expect.poll(() => told).toHaveLength(2)
    await first?.close()
    const brokerOrderId = placed.kind === 'accepted' ? placed.order.brokerOrderId : ''
    expect(told).toMatchObject([
      { brokerOrderId, execution: { quantity: '1', price: '101.5', cumulativeQuantity: '1' } },
      { activity: { kind: 'deposit', type: 'CSD', amount: '25' } },
    ])
    await fill(ticket.clientOrderId, '102')
    const second = open(told[0]?.id ?? null)
    await expect.poll(() => told).toHaveLength(4)
    await second?.close()
    expect(told[2]).toEqual(told[1])
    expect(told[3]).toMatchObject({
      brokerOrderId,
      execution: { quantity: '2', price: '102', cumulativeQuantity: '3' },
    })
    expect(states).toEqual(['live', 'live'])
    const listed = await broker.listActivities(new Date(Date.UTC(2020, 0)).toISOString())
    const [, streamed] = told
    expect(listed.map(({ id }) => id)).toContain(
      streamed !== undefined && 'activity' in streamed ? streamed.activity.id : '',
    )
  })

  test('a busted execution is reported as a bust', async () => {
    const { broker, fill, bust } = make()
    const { told, stream } = listen(broker)
    await expect.poll(() => told.live).toBe(1)
    const ticket = ticketOf({ symbol: 'AMZN', quantity: dec('4') })
    await broker.submit(ticket)
    await fill(ticket.clientOrderId, '120', '1')
    await fill(ticket.clientOrderId, '121')
    await bust(ticket.clientOrderId)
    const busts = () => told.updates.filter(({ bust: taken }) => taken !== null)
    await expect.poll(busts).toHaveLength(1)
    const executed = told.updates.flatMap(({ execution }) => execution ?? [])
    expect(busts()[0]).toMatchObject({
      bust: { id: executed[1]?.executionId, quantity: '3', price: '121', corrected: null },
      order: { clientOrderId: ticket.clientOrderId, filledQuantity: '1' },
    })
    expect(await broker.readPosition('AMZN')).toMatchObject({ quantity: '1' })
    await stream.close()
  })

  test('a corrected execution is reported with its old and its new figures', async () => {
    const { broker, fill, correct } = make()
    const { told, stream } = listen(broker)
    await expect.poll(() => told.live).toBe(1)
    const ticket = ticketOf({ symbol: 'TSLA', quantity: dec('4') })
    await broker.submit(ticket)
    await fill(ticket.clientOrderId, '120')
    await correct(ticket.clientOrderId, { quantity: '3', price: '119.5' })
    const busts = () => told.updates.flatMap(({ bust }) => bust ?? [])
    await expect.poll(busts).toHaveLength(1)
    const executed = told.updates.flatMap(({ execution }) => execution ?? [])
    const corrected = { quantity: '3', price: '119.5' }
    expect(busts()[0]).toMatchObject({
      id: executed[0]?.executionId,
      quantity: '4',
      price: '120',
      corrected,
    })
    expect(await broker.readPosition('TSLA')).toMatchObject({ quantity: '3' })
    expect(told.down).toEqual([])
    await stream.close()
  })
})
