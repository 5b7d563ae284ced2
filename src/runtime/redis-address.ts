/**
 * The address of Redis, as one URL:
 *
 *   redis://[user:password@]host:port[/db]                            one server
 *   redis+sentinel://[user:password@]host:port,host:port/name[/db]
 *       the server that the Sentinels call the master of that name
 *   redis+cluster://[user:password@]host:port,host:port
 *       a Cluster, found by any of its nodes
 *
 * `rediss` in place of `redis` is TLS, checked against the authorities that Node trusts
 * (NODE_EXTRA_CA_CERTS adds one). User and password are those of the servers; Sentinels are asked
 * without them.
 */
export type RedisAddress = Readonly<{
  kind: 'single' | 'sentinel' | 'cluster'
  isTls: boolean
  /** Empty: the default user; no password. */
  username: string
  password: string
  nodes: readonly Readonly<{ host: string; port: number }>[]
  /** The name of the master that the Sentinels watch; empty for the other kinds. */
  name: string
  db: number
}>

const URL_PATTERN =
  /^redis(?<tls>s?)(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<nodes>[^@/?#]+)(?:\/(?<path>[^?#]*))?$/
const NODE_PATTERN = /^(?<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::(?<port>\d{1,5}))?$/
const DEFAULT_PORT = { single: 6379, cluster: 6379, sentinel: 26_379 } as const
const PATH_PATTERN = {
  single: /^(?<db>\d{0,3})$/,
  sentinel: /^(?<name>[A-Za-z0-9._-]+)(?:\/(?<db>\d{1,3}))?$/,
  cluster: /^$/,
} as const

/** @returns `null` if `url` has none of the forms above */
export function readRedisAddress(url: string): RedisAddress | null {
  const groups = URL_PATTERN.exec(url)?.groups
  if (groups === undefined) return null
  const kind = (groups['kind'] as 'sentinel' | 'cluster' | undefined) ?? 'single'
  const where = PATH_PATTERN[kind].exec(groups['path'] ?? '')
  const texts = (groups['nodes'] ?? '').split(',')
  const nodes = texts.flatMap((text) => nodeOf(text, DEFAULT_PORT[kind]))
  const username = decoded(groups['user'])
  const password = decoded(groups['password'])
  if (where === null || username === null || password === null) return null
  if (nodes.length !== texts.length || (kind === 'single' && nodes.length > 1)) return null
  const { name = '', db = '' } = where.groups ?? {}
  return { kind, isTls: groups['tls'] === 's', username, password, nodes, name, db: Number(db) }
}

/** `null`: a percent sign is not followed by a character's code. */
function decoded(text = ''): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

function nodeOf(text: string, fallbackPort: number): { host: string; port: number }[] {
  const { host = '', port = String(fallbackPort) } = NODE_PATTERN.exec(text)?.groups ?? {}
  return host === '' || Number(port) > 65_535
    ? []
    : [{ host: host.replace(/^\[|\]$/g, ''), port: Number(port) }]
}
