import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type Network, startNetwork } from '../../src/apps/demo/network.ts'

const echo = createServer((socket) => void socket.on('error', () => {}).pipe(socket))
let network: Network

afterEach(async () => {
  await network[Symbol.asyncDispose]()
  await new Promise((resolve) => echo.close(resolve))
})

async function open(): Promise<Socket> {
  const socket = connect(Number(new URL(network.url).port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}
const said = async (socket: Socket, text: string): Promise<string> => {
  socket.write(text)
  return String((await once(socket, 'data'))[0])
}

test('a network carries data, breaks when it is cut, and stays cut until restored', async () => {
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  network = await startNetwork(`http://127.0.0.1:${(echo.address() as AddressInfo).port}`)
  const before = await open()
  expect(await said(before, 'one')).toBe('one')
  const broken = once(before, 'close')
  network.cut()
  await broken
  await once(await open(), 'close')
  network.restore()
  const after = await open()
  expect(await said(after, 'two')).toBe('two')
})
