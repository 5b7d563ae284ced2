/** The room of all connections of one user, and only of that user. */
export const userRoom = (userId: string): string => `user:${userId}`
/** The room of the connections that watch a symbol. */
export const marketRoom = (symbol: string): string => `market:${symbol}`
/** The user of a user room; `null` for other rooms. */
export const userOfRoom = (room: string): string | null =>
  room.startsWith('user:') ? room.slice(5) : null
