import { expect, test } from 'vitest'
import { SerialQueue } from '../../workers/accounts/serial-queue.ts'

/** The steps that ran, and an answer that comes on command. */
function scene() {
  const happened: string[] = []
  const answer = Promise.withResolvers<string>()
  return { line: new SerialQueue(), happened, answer }
}

test('tasks run one at a time, in order, also after one that fails', async () => {
  const { line, happened } = scene()
  const piece = (name: string) => async (): Promise<void> => {
    happened.push(`${name} begins`)
    await Promise.resolve()
    happened.push(`${name} ends`)
    if (name === 'a') throw new Error('a failed')
  }
  const failed = expect(line.run(piece('a'))).rejects.toThrow('a failed')
  await Promise.all([failed, line.run(piece('b')), line.run(piece('c'))])
  expect(happened).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

test('while a task awaits outside, the others run; then it continues alone', async () => {
  const { line, happened, answer } = scene()
  const asking = line.run(async () => {
    happened.push(await line.outside(() => answer.promise))
    await Promise.resolve()
    happened.push('asked')
  })
  await line.run(async () => void happened.push('other'))
  answer.resolve('answer')
  const last = line.run(async () => void happened.push('last'))
  await Promise.all([asking, last])
  expect(happened).toEqual(['other', 'last', 'answer', 'asked'])
})

test('a failed outside call fails its task, and the queue continues', async () => {
  const { line, happened, answer } = scene()
  const asking = line.run(() => line.outside(() => answer.promise))
  answer.reject(new Error('no answer'))
  await expect(asking).rejects.toThrow('no answer')
  await line.run(async () => void happened.push('next'))
  expect(happened).toEqual(['next'])
})

test('a queue is idle only once the task that awaits outside is over', async () => {
  const { line, happened, answer } = scene()
  const asking = line.run(async () => void happened.push(await line.outside(() => answer.promise)))
  const idle = line.idle().then(() => happened.push('idle'))
  await line.run(async () => {})
  expect(happened).toEqual([])
  answer.resolve('answer')
  await Promise.all([asking, idle])
  expect(happened).toEqual(['answer', 'idle'])
})
