import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: 'tests/support/global.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: process.env['FILLCAST_REPORT']
      ? ['default', ['json', { outputFile: process.env['FILLCAST_REPORT'] }]]
      : ['default'],
  },
})
