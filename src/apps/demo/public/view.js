// Draws the state. Every text is inserted as text, never as markup.
import { isOpen, totals } from '/state.js'

export const find = (selector) => document.querySelector(selector)

const usd = new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' })
const plain = new Intl.NumberFormat('en-US', { maximumFractionDigits: 6 })
const percent = new Intl.NumberFormat('en-US', {
  style: 'percent',
  maximumFractionDigits: 2,
  signDisplay: 'exceptZero',
})
const signed = new Intl.NumberFormat('en-US', {
  style: 'currency',
  currency: 'USD',
  signDisplay: 'exceptZero',
})
const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
})
const orDash = (format, value) => (Number.isFinite(value) ? format.format(value) : '–')
const tone = (value) => (value > 0 ? 'up' : value < 0 ? 'down' : '')

export const money = (value) => orDash(usd, value)

/** An element with properties and children; children are elements or text. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children.filter((child) => child !== null))
  return element
}

const cell = (text, className = '') => make('td', { className }, text)

function show(id, text, className = '') {
  const element = find(`#${id}`)
  element.textContent = text
  element.className = className
}

export function drawFigures(state) {
  const { total, cash, invested, unrealized } = totals(state)
  show('total', orDash(usd, total))
  show('cash', orDash(usd, cash))
  show('invested', cash === null ? '–' : usd.format(invested))
  show('unrealized', cash === null ? '–' : signed.format(unrealized), tone(unrealized))
}

export function drawPositions(state) {
  const rows = [...state.positions.values()].map(
    ({ symbol, quantity, averageEntryPrice, currentPrice, unrealizedPnL }) =>
      make(
        'tr',
        {},
        make('td', {}, make('b', {}, symbol)),
        cell(plain.format(quantity), 'n'),
        cell(orDash(usd, averageEntryPrice), 'n'),
        cell(orDash(usd, currentPrice), 'n'),
        cell(orDash(signed, unrealizedPnL), `n ${tone(unrealizedPnL)}`),
      ),
  )
  fill('positions', rows, 5, 'No positions. Buy something.')
}

function fill(id, rows, columns, empty) {
  const none = make('tr', {}, make('td', { colSpan: columns, className: 'empty' }, empty))
  find(`#${id}`).replaceChildren(...(rows.length > 0 ? rows : [none]))
}

const words = { sent: 'sent', partially_filled: 'partly filled', ended: 'ended while away' }
const seen = new Map()

export function drawOrders(state, onCancel) {
  const rows = [...state.orders.values()].map((order) => {
    const size =
      order.quantity === null || order.quantity === undefined
        ? money(order.notional)
        : plain.format(order.quantity)
    const limit =
      order.orderType === 'limit' && Number.isFinite(order.limitPrice)
        ? ` ≤ ${usd.format(order.limitPrice)}`
        : ''
    const name = `${order.side ?? 'order'} ${size} ${order.symbol}`
    const button = isOpen(order)
      ? make(
          'button',
          {
            type: 'button',
            disabled: order.status === 'cancelling',
            onclick: () => onCancel(order),
          },
          'Cancel',
        )
      : null
    button?.setAttribute('aria-label', `Cancel ${name}`)
    const status = words[order.status] ?? order.status
    const row = make(
      'tr',
      { title: order.id },
      make(
        'td',
        {},
        make('b', {}, name),
        make(
          'small',
          {},
          ` ${order.orderType ?? ''}${order.side === 'sell' ? limit.replace('≤', '≥') : limit}`,
        ),
      ),
      cell(plain.format(order.filled), 'n'),
      cell(orDash(usd, order.price), 'n'),
      cell(
        order.why === undefined ? status : `${status}: ${order.why}`,
        `why ${{ filled: 'up', rejected: 'down' }[order.status] ?? ''}`,
      ),
      make('td', { className: 'n' }, ...(button === null ? [] : [button])),
    )
    if (seen.get(order.id) !== order.status) row.className = 'fresh'
    seen.set(order.id, order.status)
    return row
  })
  for (const id of seen.keys()) if (!state.orders.has(id)) seen.delete(id)
  fill('orders', rows, 5, 'No orders yet.')
}

const SVG = 'http://www.w3.org/2000/svg'

function spark(points) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 100 20')
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('aria-hidden', 'true')
  if (points.length < 2) return svg
  const low = Math.min(...points)
  const range = Math.max(...points) - low || 1
  const line = document.createElementNS(SVG, 'polyline')
  const at = (point, index) =>
    `${(index / (points.length - 1)) * 100},${19 - ((point - low) / range) * 18}`
  line.setAttribute('points', points.map(at).join(' '))
  svg.append(line)
  return svg
}

export function drawQuotes(state, symbols, onPick) {
  find('#quotes').replaceChildren(
    ...symbols.map((symbol) => {
      const { last, changePercent, bid, ask, points = [] } = state.quotes.get(symbol) ?? {}
      const line = make('span', { className: tone(changePercent) }, spark(points))
      const price = make(
        'span',
        { className: 'price' },
        orDash(usd, last),
        make(
          'small',
          { className: tone(changePercent) || 'dim' },
          Number.isFinite(changePercent) ? percent.format(changePercent / 100) : '–',
        ),
      )
      const title = `bid ${orDash(usd, bid)}, ask ${orDash(usd, ask)}`
      return make(
        'li',
        {},
        make(
          'button',
          { type: 'button', title, onclick: () => onPick(symbol) },
          make('b', {}, symbol),
          line,
          price,
        ),
      )
    }),
  )
}

/** Inserts only the new entries at the top, so an expanded entry stays expanded. */
export function drawLog(state, all) {
  const list = find('#log')
  const wanted = state.log.filter((entry) => all || !entry.isMarket)
  const drawn = new Set(wanted)
  for (const item of [...list.children]) if (!drawn.has(item.entry)) item.remove()
  const newest = list.firstElementChild?.entry
  const fresh = newest === undefined ? wanted : wanted.slice(0, wanted.indexOf(newest))
  list.prepend(
    ...fresh.map((entry) =>
      Object.assign(
        make(
          'li',
          {},
          make(
            'details',
            {},
            make(
              'summary',
              {},
              make('time', {}, clock.format(entry.atMs)),
              make('span', { className: entry.event.split('.')[0] }, entry.event),
            ),
            make('pre', {}, JSON.stringify(entry.payload, null, 1)),
          ),
        ),
        { entry },
      ),
    ),
  )
}
