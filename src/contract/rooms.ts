/** Every connection of one user is in this room, and nobody else's. */
export const userRoom = (userId: string): string => `user:${userId}`
/** Connections that watch a symbol. */
export const marketRoom = (symbol: string): string => `market:${symbol}`
/** The user behind a room, or `null` for other rooms. */
export const userOfRoom = (room: string): string | null =>
  room.startsWith('user:') ? room.slice(5) : null
