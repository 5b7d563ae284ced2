export * from './login-throttle.ts'
export * from './refused-tokens.ts'
export * from './settings.ts'
export * from './verify.ts'
