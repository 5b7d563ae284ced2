export * from './queue.ts'
export type { SubmitDeps } from './submit.ts'
