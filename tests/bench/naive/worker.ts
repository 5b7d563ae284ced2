// The pipeline that everybody writes first: job -> POST -> HSET -> emitter, and stream message ->
// HSET -> emitter. No validation, no state machine, no log, no second look. A baseline, not an
// example.
import { readFileSync } from 'node:fs'
import { Emitter } from '@socket.io/redis-emitter'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { Pool } from 'undici'
import { WebSocket } from 'ws'

type Account = Readonly<{ userId: string; keyId: string; secret: string }>
type Job = Readonly<{ userId: string; tradeId: string; symbol: string; quantity: string }>
type Answer = Readonly<{
  id: string
  status: string
  submitted_at: string
  filled_avg_price: string
  qty: string
}>

const sandbox = process.env['SANDBOX_URL'] ?? ''
const accounts = JSON.parse(readFileSync(process.env['ACCOUNTS_FILE'] ?? '', 'utf8')) as Account[]
const byUser = new Map(accounts.map((account) => [account.userId, account]))
const redis = new Redis(process.env['REDIS_URL'] ?? '', { maxRetriesPerRequest: null })
const emitter = new Emitter(redis)
const pool = new Pool(sandbox, { connections: 64 })

async function post(account: Account, body: string): Promise<Answer> {
  const headers = {
    'content-type': 'application/json',
    'apca-api-key-id': account.keyId,
    'apca-api-secret-key': account.secret,
  }
  if (process.env['HTTP_CLIENT'] === 'fetch')
    return (await (
      await fetch(`${sandbox}/v2/orders`, { method: 'POST', headers, body })
    ).json()) as Answer
  return (await (
    await pool.request({ path: '/v2/orders', method: 'POST', headers, body })
  ).body.json()) as Answer
}

new Worker(
  'naive',
  async ({ data }: { data: Job }) => {
    const { userId, tradeId, symbol, quantity } = data
    const account = byUser.get(userId)
    if (account === undefined) return
    const order = {
      symbol,
      qty: quantity,
      side: 'buy',
      type: 'market',
      time_in_force: 'day',
      client_order_id: tradeId,
    }
    const answer = await post(account, JSON.stringify(order))
    await redis.hset(`order:${tradeId}`, {
      userId,
      tradeId,
      symbol,
      brokerOrderId: answer.id,
      status: 'submitted',
    })
    const timestamp = new Date().toISOString()
    emitter.to(`user:${userId}`).emit('trade.submitted', {
      userId,
      tradeId,
      symbol,
      quantity: Number(quantity),
      orderType: 'market',
      side: 'buy',
      brokerOrderId: answer.id,
      status: 'submitted',
      submittedAt: answer.submitted_at,
      timestamp,
    })
  },
  { connection: redis, concurrency: 50 },
)

async function onFill(userId: string, at: string, order: Record<string, string>): Promise<void> {
  const { client_order_id: tradeId, symbol, filled_qty: quantity, filled_avg_price: price } = order
  await redis.hset(`order:${tradeId}`, {
    status: 'filled',
    quantity: quantity ?? '',
    price: price ?? '',
  })
  emitter.to(`user:${userId}`).emit('trade.filled', {
    userId,
    tradeId,
    symbol,
    quantity: Number(quantity),
    fillPrice: Number(price),
    side: 'buy',
    totalCost: Number(quantity) * Number(price),
    filledAt: at,
    executionTime: 0,
    timestamp: new Date().toISOString(),
  })
}

const open = accounts.map(
  ({ userId, keyId, secret }) =>
    new Promise<void>((resolve) => {
      const socket = new WebSocket(`${sandbox.replace(/^http/, 'ws')}/stream`)
      socket.on('open', () => socket.send(JSON.stringify({ action: 'auth', key: keyId, secret })))
      socket.on('message', (bytes: Buffer) => {
        const { stream, data } = JSON.parse(bytes.toString()) as {
          stream: string
          data: { event: string; at: string; order: Record<string, string> }
        }
        if (stream === 'authorization')
          socket.send('{"action":"listen","data":{"streams":["trade_updates"]}}')
        if (stream === 'listening') resolve()
        if (stream === 'trade_updates' && data.event === 'fill')
          void onFill(userId, data.at, data.order)
      })
    }),
)
await Promise.all(open)
process.stdout.write('naive worker is ready\n')
process.on('SIGTERM', () => process.exit(0))
