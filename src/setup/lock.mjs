// @ts-check
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_INTERVAL_MS = 200

/**
 * Runs `work` while no other set-up of this project runs: two commands that start at once must not
 * install into one folder. The lock names its owner, and a lock whose owner is gone is void.
 * @template T
 * @param {string} folder where the lock file lies; made when missing
 * @param {(line: string) => void} say
 * @param {() => T} work
 * @returns {Promise<T>}
 */
export async function alone(folder, say, work) {
  mkdirSync(folder, { recursive: true })
  const lock = join(folder, 'set-up.lock')
  for (let hasSaid = false; !take(lock); hasSaid = true) {
    if (!hasSaid) say('Waiting for another set-up of this project to finish ...')
    await sleep(LOOK_INTERVAL_MS)
  }
  try {
    return work()
  } finally {
    rmSync(lock, { force: true })
  }
}

/** @param {string} lock */
function take(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    if (!isOwned(lock)) rmSync(lock, { force: true }) // the next round takes it
    return false
  }
}

/** @param {string} lock */
function isOwned(lock) {
  try {
    const owner = Number(readFileSync(lock, 'utf8'))
    if (owner > 0) process.kill(owner, 0)
    return true // no number yet: its owner is writing it
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
