// @ts-check Loaded before an entry: ends the entry when the set-up that started it is gone, even by
//   SIGKILL, because the pipe between them closes then.
import { Socket } from 'node:net'

const fd = Number(process.env.FILLCAST_LEASH)
if (fd > 0) {
  delete process.env.FILLCAST_LEASH // children of the entry have parents of their own
  const leash = new Socket({ fd, readable: true, writable: false })
  leash.on('error', () => {}) // 'close' follows
  leash.once('close', () => process.kill(process.pid, 'SIGTERM'))
  leash.resume().unref()
}
