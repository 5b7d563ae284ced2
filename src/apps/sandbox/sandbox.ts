import type { AddressInfo } from 'node:net'
import { startBroker } from './broker/broker.ts'
import { parseRecording } from './broker/replay.ts'
import { createRandomness } from './randomness.ts'
import { openAccount } from './control/accounts.ts'
import type { SandboxControl } from './control/commands.ts'
import { createControl } from './control/control.ts'
import { createHeldAnswers } from './control/held-answers.ts'
import { type ControlHandler, createControlHandler } from './control/routes.ts'
import { createFaults } from './faults/faults.ts'
import { startOrderFaults } from './faults/order-faults.ts'
import { createStreamFaults } from './faults/stream-faults.ts'
import { createRateLimits } from './http/rate-limits.ts'
import { createRequestJournal } from './http/request-journal.ts'
import { createHttpServer } from './http/server.ts'
import { completeOptions, type SandboxOptions } from './options.ts'
import { attachStreams } from './streams/upgrades.ts'
import { wireClockOf } from './time.ts'

/** A running sandbox. */
export interface Sandbox {
  /** `http://host:port`, for both the trading and the data host. */
  readonly url: string
  /** `ws://host:port`; the trade stream is at `/stream`, stock data at `/v2/iex`. */
  readonly wsUrl: string
  readonly port: number
  readonly seed: string
  readonly control: SandboxControl
  /** Cuts every connection and stops. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts an Alpaca-compatible broker on HTTP and WebSocket.
 * @throws if the port is in use, two accounts share a key, or recorded prices cannot be read
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const {
    port,
    host,
    seed,
    clock,
    accounts,
    faultSeed,
    faultShare,
    dataPlan,
    rateLimit,
    prices,
    ...rest
  } = completeOptions(options)
  const recording = prices === '' ? [] : parseRecording(prices)
  const broker = startBroker(clock, createRandomness(seed), { ...rest, recording })
  const rateLimits = createRateLimits(wireClockOf(clock), rateLimit)
  accounts.forEach((account) => openAccount(broker, rateLimits, account))
  const journal = createRequestJournal(clock)
  const heldAnswers = createHeldAnswers()
  // The control needs the streams, the streams need the server, and the server needs the control:
  // this function resolves the control at its first call.
  const control: ControlHandler = (...call) => handleControl(...call)
  const faults = createFaults(createRandomness(faultSeed), faultShare)
  startOrderFaults(broker, clock, faults)
  const server = createHttpServer({
    clock,
    broker,
    faults,
    rateLimits,
    journal,
    heldAnswers,
    control,
    dataPlan,
  })
  const streams = attachStreams(server, broker, clock, createStreamFaults(faults), dataPlan)
  const commands = createControl(broker, heldAnswers, journal, streams, faults, rateLimits, clock)
  const handleControl = createControlHandler(commands)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve)
  }).catch((error: unknown) => {
    broker.stop()
    throw error
  })
  const listening = server.address() as AddressInfo
  const authority = `${host.includes(':') ? `[${host}]` : host}:${listening.port}`
  const close = async (): Promise<void> => {
    broker.stop()
    heldAnswers.clear()
    streams.close()
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }
  return {
    url: `http://${authority}`,
    wsUrl: `ws://${authority}`,
    port: listening.port,
    seed,
    control: commands,
    close,
    [Symbol.asyncDispose]: close,
  }
}
