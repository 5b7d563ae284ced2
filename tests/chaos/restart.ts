import { setTimeout as pause } from 'node:timers/promises'
import { ChaosClient } from './client.ts'
import { Ground, tokenOf } from './ground.ts'
import { compare, type Differences, noDifferences } from './judge.ts'
import { startBalancer } from '../relay/balancer.ts'

export type RestartReport = Readonly<{
  /**
   * Time from the cut to the event that was sent right after the cut, one figure a client, sorted.
   */
  caughtUpMs: readonly number[]
  stayedAway: number
  differences: Differences
}>

const OPENING_AT_ONCE = 50
const WAIT_MS_MAX = 60_000
const LOOK_MS = 20

async function until(isSo: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + WAIT_MS_MAX
  while (!isSo()) {
    if (performance.now() > untilMs) throw new Error(`${what}: not within ${WAIT_MS_MAX / 1_000} s`)
    await pause(LOOK_MS)
  }
}

/**
 * Commits an event for each client at the moment of its cut; a client that has received the event
 * has caught up.
 */
function watch(
  ground: Ground,
  client: ChaosClient,
  caughtUpMs: Map<ChaosClient, number>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.socket.once('disconnect', () => {
      const cutMs = performance.now()
      client.onEvent = () => {
        if (!caughtUpMs.has(client)) caughtUpMs.set(client, performance.now() - cutMs)
      }
      ground.tell(client.userId).then(resolve, reject)
    })
  })
}

/**
 * All clients are on one of two relays; the relay is restarted, and the balancer picks a relay for
 * each reconnect.
 * @param isCrash the relay is killed instead of stopped
 */
export async function restart({
  clients: count,
  isCrash,
}: {
  clients: number
  isCrash: boolean
}): Promise<RestartReport> {
  await using ground = await Ground.open(2)
  const [leaving, staying] = ground.relays
  if (leaving === undefined || staying === undefined) throw new Error('two relays are needed')
  const behind = [leaving]
  await using balancer = await startBalancer(behind)
  const clients: ChaosClient[] = []
  try {
    for (let n = 0; n < count; n += 1) {
      const user = `user-${n}`
      clients.push(new ChaosClient(user, balancer.url, await tokenOf(user), ['websocket']))
      const authorized = (): number =>
        clients.filter((client) => client.count('connection.authorized') > 0).length
      if (n % OPENING_AT_ONCE === 0)
        await until(() => clients.length - authorized() < OPENING_AT_ONCE, 'connecting')
    }
    await until(
      () => clients.every((client) => client.count('connection.authorized') === 1),
      'connecting',
    )
    for (const { userId } of clients) await ground.tell(userId)
    await until(() => clients.every((client) => client.heard.length === 1), 'the first event')

    const caughtUpMs = new Map<ChaosClient, number>()
    const missed = clients.map((client) => watch(ground, client, caughtUpMs))
    behind.push(staying)
    await (isCrash ? leaving.kill() : leaving.stop())
    ground.relays[0] = await ground.startRelay(leaving.port)
    behind[0] = ground.relays[0]
    await Promise.all(missed)
    await until(() => caughtUpMs.size === count, 'catching up').catch(() => {})
    for (const { userId } of clients) await ground.tell(userId)
    await until(() => clients.every((client) => client.heard.length >= 3), 'the last event').catch(
      () => {},
    )

    const differences = noDifferences()
    for (const client of clients) {
      compare(client.heard, await ground.logOf(client.userId), differences)
      differences.resyncs += client.count('state.resync')
    }
    const stayedAway = clients.filter((client) => !client.socket.connected).length
    return { caughtUpMs: [...caughtUpMs.values()].sort((a, b) => a - b), stayedAway, differences }
  } finally {
    for (const client of clients) client.socket.disconnect()
  }
}
