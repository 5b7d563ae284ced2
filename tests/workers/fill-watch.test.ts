import { describe, expect, test } from 'vitest'
import { dec } from '#domain'
import { FillWatch } from '../../workers/accounts/fill-watch.ts'
import { FakeClock } from '../support/fake-clock.ts'

function make(applied: readonly string[]) {
  const clock = new FakeClock()
  let missed = 0
  const watch = new FillWatch(clock, {
    isApplied: (id) => applied.includes(id),
    onMissed: () => void (missed += 1),
  })
  return { clock, watch, missed: () => missed }
}

describe('an execution that only the activity stream reported', () => {
  test.each([
    ['already seen: no look', ['b1', 'b2'], 0],
    ['one not seen: a look, once for all of them', ['b1'], 1],
  ])('%s', async (_what, seen, looks) => {
    const { clock, watch, missed } = make(seen)
    watch.expect('b1', dec('10'))
    watch.expect('b2', dec('10'))
    watch.expect('b2', dec('20'))
    await clock.advance(999)
    expect(missed()).toBe(0)
    await clock.advance(5_000)
    expect(missed()).toBe(looks)
  })
})
