// The page's connection to the relay. Socket.IO reconnects by itself, with back-off; what is decided here is with which token, and
// when not to come back.

/* global io */
import { refresh, session } from '/session.js'

/** Follow the connection: `live`, `wait` (it will come back) or `off` (it will not). */
export function connect(relayUrl, symbols, { onEvent, onLink, onEnd }) {
  const socket = io(relayUrl, {
    // Asked again at every attempt: a refreshed token is used from then on.
    auth: (answer) => answer({ token: session()?.token ?? '' }),
    // WebSocket first, polling where it does not get through: an upgrade from polling that breaks midway would be noticed late.
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    reconnectionDelay: 1000,
    reconnectionDelayMax: 30_000,
  })

  const end = (why) => {
    socket.disconnect()
    onLink('off', 'offline')
    onEnd(why)
  }
  /** A fresh token and a new connection with it; the login is over when there is none to be had. */
  const renew = async () => {
    try {
      await refresh()
      socket.disconnect().connect()
    } catch (error) {
      if (error.status === 401) end('Your login has expired.')
      else onLink('wait', 'cannot refresh the login')
    }
  }

  const lifecycle = {
    'connection.authorized'() {
      onLink('live', 'live')
      // What was missed meanwhile is in the state; quotes are per connection.
      socket.emit('state.requestSync', {})
      socket.emit('market.subscribe', { symbols })
    },
    'connection.closed'({ reason, message }) {
      if (reason === 'logout' || reason === 'duplicate_connection') end(message)
      else if (reason === 'token_expired') void renew()
      else onLink('wait', 'the relay is restarting')
    },
    'connection.error'({ error, message }) {
      if (error === 'AUTHENTICATION_FAILED') void renew()
      else onLink('wait', message)
    },
    'token.expiring': () => void renew(),
  }
  socket.onAny((event, payload) => {
    onEvent(event, payload)
    lifecycle[event]?.(payload)
  })
  socket.on('disconnect', (reason) => {
    if (reason !== 'io client disconnect' && reason !== 'io server disconnect')
      onLink('wait', 'reconnecting')
  })
  socket.on('connect_error', () => onLink('wait', 'reconnecting'))
  onLink('wait', 'connecting')
  return { close: () => socket.disconnect() }
}
