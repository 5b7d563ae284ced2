// Login and token. The token lives in this tab only: a reload keeps the token, closing the tab
// drops it.

const KEY = 'fillcast-session'
const read = () => {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? 'null')
  } catch {
    return null
  }
}

let current = read()

export const session = () => current

function keep(next) {
  current = next
  if (next === null) sessionStorage.removeItem(KEY)
  else sessionStorage.setItem(KEY, JSON.stringify(next))
}

export const forget = () => keep(null)

/** Calls the trade API. Throws an Error with the API's message, and `status`. */
export async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(current === null ? {} : { authorization: `Bearer ${current.token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new Error('The trade API cannot be reached.')
  })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  throw Object.assign(new Error(answer.message ?? `The trade API answered ${response.status}.`), {
    status: response.status,
  })
}

export async function logIn(username, password) {
  forget()
  keep(await ask('POST', '/auth/login', { username, password }))
}

/** A new token for the same login. */
export async function refresh() {
  keep(await ask('POST', '/auth/refresh'))
}
