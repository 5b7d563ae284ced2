export * from './follow-ups.ts'
export * from './queue.ts'
export type { SubmitDeps } from './submit.ts'
