import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { type ControlCommands, createControlCommands } from '../../../src/producer/controls.ts'
import { controlField, controlKey, globalControlKey } from '../../../src/store/keys.ts'
import { openFieldsOf } from '../../../src/store/open-index.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Process } from './process.ts'

/**
 * The producer's halts and limits, in a process of their own, over the store of the world: the few
 * commands of Redis that they need, each a step like any other call.
 */
export function controlCommandsOf(process: Process, store: FakeStore): ControlCommands {
  const door = process.door('redis', commandsOf(store), true)
  const redis = Object.assign(Object.create(door) as object, { defineCommand: () => {} })
  return createControlCommands(redis as unknown as Redis, process.clock, pino({ level: 'silent' }))
}

const taggedUser = (key: string): string | null => /\{(.*)\}/.exec(key)?.[1] ?? null

function commandsOf(store: FakeStore) {
  const { controls } = store
  const stateOf = (userId: string): Record<string, string> => {
    const place = { v: store.versionOf(userId), last: store.lastEventId(userId) }
    return { ...Object.fromEntries(store.recordsOf(userId)), ...place }
  }
  const haltsOf = async (userId: string): Promise<Record<string, string>> => {
    const { user, byConnection } = (await controls.read(userId)).halts
    const named = [...byConnection].map(
      ([id, halt]) => [controlField.connectionHalt(id), halt] as const,
    )
    const all = user === null ? named : [[controlField.halt, user] as const, ...named]
    return Object.fromEntries(all.map(([name, halt]) => [name, JSON.stringify(halt)]))
  }
  return {
    async controlPut(key: string, name: string, record: string): Promise<string> {
      const userId = taggedUser(key)
      const connectionId = name.split(':')[1]
      const halt =
        record === '' ? null : (JSON.parse(record) as Parameters<typeof controls.setHalt>[1])
      if (userId === null) await controls.setHalt({ scope: 'global' }, halt)
      else if (connectionId === undefined) await controls.setHalt({ scope: 'user', userId }, halt)
      else await controls.setHalt({ scope: 'connection', userId, connectionId }, halt)
      return '0' // the index of the model is its own
    },
    zadd: async () => 0,
    async zrangebyscore(
      _key: string,
      from: number,
      ...rest: (string | number)[]
    ): Promise<string[]> {
      const rows = await controls.changedSince(from, Number(rest.at(-1)))
      return rows.flatMap(({ userId, position }) => [userId, String(position)])
    },
    smembers: async (key: string): Promise<string[]> =>
      openFieldsOf(stateOf(taggedUser(key) ?? '')),
    async hmget(key: string, ...names: string[]): Promise<(string | null)[]> {
      const state = stateOf(taggedUser(key) ?? '')
      const indexed = `${state['v'] ?? ''} ${openFieldsOf(state).length}`
      return names.map((name) => ({ ...state, indexed })[name] ?? null)
    },
    async hget(key: string, name: string): Promise<string | null> {
      const halt =
        key === globalControlKey && name === controlField.halt
          ? await controls.readGlobalHalt()
          : null
      return halt && JSON.stringify(halt)
    },
    async hgetall(key: string): Promise<Record<string, string>> {
      const userId = taggedUser(key) ?? ''
      return key === controlKey(userId) ? haltsOf(userId) : stateOf(userId)
    },
  }
}
