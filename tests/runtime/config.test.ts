import { describe, expect, test } from 'vitest'
import { ConfigError } from '#runtime'
import { readWorkerConfig } from '../../workers/config.ts'

const key = Buffer.alloc(32, 1).toString('base64')
const good = { REDIS_URL: 'redis://127.0.0.1:6379/0', VAULT_KEYS: `a:${key}` }

/** The error text of an environment that cannot be read. */
function refusalOf(env: Record<string, string>): string {
  try {
    readWorkerConfig(env)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).message
  }
  return ''
}

describe('readConfig', () => {
  test('fills in defaults, and freezes', () => {
    const config = readWorkerConfig(good)
    expect(config).toMatchObject({
      env: 'paper',
      dataFeed: 'iex',
      overExit: 'alarm',
      roles: ['orders', 'streams', 'connections', 'market'],
      probePort: 0,
    })
    expect(config.vaultKeys).toEqual([{ kid: 'a', key: new Uint8Array(32).fill(1) }])
    expect(Object.isFrozen(config)).toBe(true)
  })

  test('an empty value counts as absent', () => {
    expect(readWorkerConfig({ ...good, ALPACA_ENV: ' ', ALPACA_SANDBOX_URL: '' }).env).toBe('paper')
  })

  test('names every bad value at once with the allowed ones, and repeats none', () => {
    const text = refusalOf({
      REDIS_URL: 'secret-host',
      VAULT_KEYS: 'a:c2hvcnQ=',
      WORKER_ROLES: 'orders,sales',
      PROBE_PORT: '70000',
    })
    for (const name of ['REDIS_URL', 'VAULT_KEYS', 'WORKER_ROLES', 'PROBE_PORT'])
      expect(text).toContain(name)
    expect(text).toContain('a port, 0 to 65535')
    for (const value of ['secret-host', 'c2hvcnQ', 'sales', '70000'])
      expect(text).not.toContain(value)
  })

  test.each<[string, Record<string, string>, string]>([
    ['a sandbox without its URL', { ALPACA_ENV: 'sandbox' }, 'ALPACA_SANDBOX_URL is missing'],
    [
      'a URL without saying sandbox',
      { ALPACA_SANDBOX_URL: 'http://127.0.0.1:1' },
      'say ALPACA_ENV=sandbox',
    ],
    ['half a data key', { ALPACA_DATA_KEY_ID: 'K' }, 'go together'],
    ['a key without a name', { VAULT_KEYS: key }, 'VAULT_KEYS'],
    ['two keys of one name', { VAULT_KEYS: `a:${key},a:${key}` }, 'VAULT_KEYS'],
    ['an address that is a name', { LISTEN_HOST: 'localhost' }, 'LISTEN_HOST'],
  ])('%s is refused', (_what, change, text) =>
    expect(refusalOf({ ...good, ...change })).toContain(text),
  )

  test('dependent settings are checked also where another setting is wrong', () => {
    const text = refusalOf({ ...good, REDIS_URL: 'x', ALPACA_ENV: 'sandbox' })
    expect(text).toContain('REDIS_URL')
    expect(text).toContain('ALPACA_SANDBOX_URL is missing')
  })
})
