import { defineConfig } from 'vitest/config'

/** Suites that touch nothing but their own process and this repository. */
const pure = ['domain', 'contract', 'deploy', 'tidy'].map((name) => `tests/${name}/**/*.test.ts`)
const unit = [...pure, 'tests/readme/readme.test.ts', 'tests/*.test.ts']
const e2e = ['tests/e2e/**/*.test.ts', 'tests/demo/**/*.test.ts']
/** Where the JSON report goes, when one is wanted. */
const report = process.env['FILLCAST_REPORT']

export default defineConfig({
  test: {
    globalSetup: 'tests/support/global.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // What is waited for comes at once on an idle machine; one second, the default, is not enough on a busy one.
    expect: { poll: { timeout: 10_000 } },
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      { extends: true, test: { name: 'unit', include: unit } },
      // Whatever is neither unit nor end to end, so that no suite is ever left out.
      {
        extends: true,
        test: { name: 'integration', include: ['tests/**/*.test.ts'], exclude: [...unit, ...e2e] },
      },
      { extends: true, test: { name: 'e2e', include: e2e } },
    ],
  },
})
