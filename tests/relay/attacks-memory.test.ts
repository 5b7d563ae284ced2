import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { Ground, tokenOf } from '../chaos/ground.ts'

/** More rounds for a long run: a leak of an attack shows the sooner, the more rounds there are. */
const ROUNDS = Number(process.env['FILLCAST_ATTACK_ROUNDS'] ?? 4)
const ATTACKS_PER_ROUND = 100
/** V8 ends a process that needs more. A relay without a client needs half. */
const HEAP_MIB = 64

/** Opens a connection, sends its packets, and ends once it has been closed or answered. */
function raw(url: string, packets: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url)
    socket.on('open', () => packets.forEach((packet) => socket.send(packet)))
    socket.on('message', (data: Buffer) => {
      if (data.toString().startsWith('43')) socket.terminate()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve())
  })
}

async function round(ground: Ground, n: number): Promise<void> {
  const url = `127.0.0.1:${ground.relays[0]?.port}/socket.io/?EIO=4&transport=`
  const redis = ground.redis.connect()
  const attacks = Array.from({ length: ATTACKS_PER_ROUND }, async (_, i) => {
    const name = `${n}-${i}`
    await Promise.all([
      raw(`ws://${url}websocket&token=forged-q-${name}`, ['40']),
      raw(`ws://${url}websocket`, [`40{"token":"forged-${name}","deviceId":"${name}}"}`]),
      raw(`ws://${url}websocket`, [
        `40${JSON.stringify({ token: await tokenOf(`m-${name}`) })}`,
        '42["__proto__"]',
        '421["x"]',
        '422["state.requestSync",{}]',
      ]),
      fetch(`http://${url}polling&sid=owner${i}.${name}`).then((answer) => answer.text()),
      redis.publish(`socket.io#/#user:m-${name}#`, Buffer.alloc(1_000, 0xdd)),
    ])
  })
  await Promise.all(attacks)
}

test('thousands of attacks leave nothing in a heap hardly larger than the relay’s own', async () => {
  await using ground = await Ground.open(1, { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` })
  for (let n = 0; n < ROUNDS; n += 1) await round(ground, n)
  const answer = await fetch(
    `http://127.0.0.1:${ground.relays[0]?.port}/socket.io/?EIO=4&transport=polling`,
  )
  expect(answer.status).toBe(200)
}, 600_000)
