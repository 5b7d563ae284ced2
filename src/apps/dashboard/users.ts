import { parseHash, type PasswordHash } from './passwords.ts'

/** A `viewer` only reads; an `operator` also acts. */
const ROLES = ['viewer', 'operator'] as const
export type Role = (typeof ROLES)[number]
export type User = Readonly<{ name: string; role: Role; hash: PasswordHash }>

/** Valid names of people who may open the dashboard. */
export const USER_NAME = /^[A-Za-z0-9_.@-]{1,64}$/
const USERS_MAX = 200

export const isRole = (text: string | undefined): text is Role =>
  ROLES.some((role) => role === text)

/** Reads `name:role:scrypt hash,...`; `null` if an entry is wrong or a name occurs twice. */
export function parseUsers(text: string): ReadonlyMap<string, User> | null {
  const entries = text.split(',').map((entry) => entry.trim())
  const users = new Map<string, User>()
  for (const entry of entries) {
    const [name = '', role, hashText = '', ...rest] = entry.split(':')
    const hash = parseHash(hashText)
    if (!USER_NAME.test(name) || !isRole(role) || hash === null || rest.length > 0) return null
    users.set(name, { name, role, hash })
  }
  return users.size === entries.length && users.size <= USERS_MAX ? users : null
}
