import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Demo, startDemo } from '../../src/apps/demo/launcher.ts'

const CHROMIUM = process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium'
const hasBrowser = existsSync(CHROMIUM)
if (!hasBrowser)
  process.stderr.write(
    `The demo page is not tried: there is no ${CHROMIUM} (CHROMIUM_BIN names another)\n`,
  )

describe.runIf(hasBrowser)('the demo page', () => {
  const stack = new AsyncDisposableStack()
  const trouble: string[] = []
  const lines: string[] = []
  let demo: Demo
  let browser: Browser

  beforeAll(async () => {
    const onLine = (name: string, line: string): void => void lines.push(`${name} ${line}`)
    const ports = { page: 0, relay: 0, dashboard: 0, sandbox: 0 }
    demo = await startDemo(
      { ports, seed: '7', partialFills: false, redisUrl: undefined, onLine },
      stack,
    ).catch((cause: unknown) => {
      throw new Error(`the demo did not start:\n${lines.slice(-40).join('\n')}`, { cause })
    })
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
      ],
    })
    stack.defer(() => browser.close())
  }, 60_000)
  afterAll(() => stack.disposeAsync(), 60_000)

  async function openAs(name: string): Promise<Page> {
    const context = await browser.newContext()
    const page = await context.newPage()
    page.on('pageerror', (error) => trouble.push(error.message))
    page.on('console', (message) => message.type() === 'error' && trouble.push(message.text()))
    await page.goto(demo.pageUrl)
    await page.fill('[name=username]', name)
    await page.click('#login .primary')
    await page.waitForSelector('#link[data-state=live]')
    await page.locator('#cash', { hasText: '$' }).waitFor()
    return page
  }
  const row = (page: Page, table: string, text: string) =>
    page.locator(`#${table} tr`, { hasText: text })

  test('a trade on one device shows on both devices of its user, and nowhere else', async () => {
    const [laptop, phone, other] = await Promise.all([
      openAs('alice'),
      openAs('alice'),
      openAs('bob'),
    ])
    const cash = await other.textContent('#cash')
    await laptop.selectOption('[name=symbol]', 'AAPL')
    await laptop.fill('[name=amount]', '10')
    await laptop.click('#ticket .primary')
    for (const page of [laptop, phone]) {
      await row(page, 'orders', 'buy 10 AAPL').getByText('filled').waitFor()
      await row(page, 'positions', 'AAPL').waitFor()
      expect(await page.textContent('#cash')).not.toBe(cash)
    }
    expect(await laptop.textContent('#cash')).toBe(await phone.textContent('#cash'))
    expect(await other.textContent('#cash')).toBe(cash)
    expect(await row(other, 'orders', 'AAPL').count()).toBe(0)
  })

  test('a resting order is canceled; a refused order names the field', async () => {
    const page = await openAs('bob')
    await page.selectOption('[name=orderType]', 'limit')
    await page.fill('[name=limitPrice]', '1')
    await page.click('#ticket .primary')
    await row(page, 'orders', '$1.00').getByRole('button').click()
    await row(page, 'orders', '$1.00').getByText('cancelled').waitFor()
    await page.fill('[name=amount]', '-3')
    await page.click('#ticket .primary')
    await page.locator('#ticket .problem', { hasText: 'quantity' }).waitFor()
  })

  test('a reload shows the same state without another login', async () => {
    const page = await openAs('alice')
    const cash = await page.textContent('#cash')
    await page.reload()
    await page.waitForSelector('#link[data-state=live]')
    await page.locator('#cash', { hasText: cash ?? '' }).waitFor()
    await row(page, 'positions', 'AAPL').waitFor()
  })

  test('a logout ends its login at every process, and no other login', async () => {
    const [page, other] = await Promise.all([openAs('bob'), openAs('bob')])
    const session = String(await page.evaluate("sessionStorage.getItem('fillcast-session')"))
    const copy = await (await browser.newContext()).newPage()
    await copy.addInitScript(
      `sessionStorage.setItem('fillcast-session', ${JSON.stringify(session)})`,
    )
    await copy.goto(demo.pageUrl)
    await copy.waitForSelector('#link[data-state=live]')
    await page.click('#logout')
    for (const one of [page, copy]) await one.locator('#login').waitFor()
    expect(await other.getAttribute('#link', 'data-state')).toBe('live')
  })

  test('the dashboard opens after its login', async () => {
    const page = await browser.newPage()
    const [name = '', password = ''] = demo.dashboardLogin.split(' / ')
    await page.goto(demo.dashboardUrl)
    await page.fill('[name=name]', name)
    await page.fill('[name=password]', password)
    await page.click('button')
    await page.getByText('orders').first().waitFor()
    expect(new URL(page.url()).pathname).toBe('/queues')
  })

  // A refused order is a response of 422, which Chromium writes to the console.
  test('no page had an error', () =>
    expect(trouble.filter((text) => !text.includes('422'))).toEqual([]))
})
