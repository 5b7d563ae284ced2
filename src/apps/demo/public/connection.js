// The page's connection to the relay. Socket.IO reconnects by itself, with back-off. This file
// chooses the token of each attempt and decides when to stop reconnecting.

/* global io */
import { refresh, session } from '/session.js'

/** `onLink` gets the state: `live`, `wait` (it reconnects) or `off` (it does not reconnect). */
export function connect(relayUrl, symbols, { onEvent, onLink, onEnd }) {
  const socket = io(relayUrl, {
    // Called at every attempt, so a refreshed token is used from the next attempt on.
    auth: (answer) => answer({ token: session()?.token ?? '' }),
    // WebSocket first, polling as a fallback: an upgrade from polling that breaks midway would be
    // noticed late.
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
  /** Reconnects with a fresh token. If the trade API refuses the token (401), the login is over. */
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
      // The state covers all events missed meanwhile; quote subscriptions are per connection.
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
