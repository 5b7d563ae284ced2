import { ProducerClosedError } from './errors.ts'

/**
 * The same commands, until the producer is closed. From then on each command rejects with a
 * `ProducerClosedError`. Without this check Redis would report only a closed connection, which
 * looks like a temporary outage.
 */
export function untilClosed<Commands extends object>(
  commands: Commands,
  isClosed: () => boolean,
): Commands {
  const guarded = Object.entries(commands).map(([name, command]: [string, unknown]) => {
    if (typeof command === 'object' && command !== null)
      return [name, untilClosed(command, isClosed)]
    if (typeof command !== 'function') return [name, command]
    return [
      name,
      async (...args: unknown[]): Promise<unknown> => {
        if (isClosed()) throw new ProducerClosedError()
        return (await Reflect.apply(command, commands, args)) as unknown
      },
    ]
  })
  return Object.fromEntries(guarded) as Commands
}
