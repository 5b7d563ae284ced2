import { connect } from '/connection.js'
import { ask, forget, logIn, session } from '/session.js'
import { emptyState, placed, receive } from '/state.js'
import { drawFigures, drawLog, drawOrders, drawPositions, drawQuotes, find, money } from '/view.js'

const config = await ask('GET', '/config.json')
const [login, ticket] = [find('#login form'), find('#ticket')]
let state = emptyState()
let connection = null
let isDrawing = false

const notice = (text) => {
  find('#notice').textContent = text ?? ''
  find('#notice').hidden = !text
}

/** Draws at most once a frame, for any number of events. */
function draw() {
  if (isDrawing) return
  isDrawing = true
  requestAnimationFrame(() => {
    isDrawing = false
    drawFigures(state)
    drawPositions(state)
    drawOrders(state, cancel)
    drawQuotes(state, config.symbols, pick)
    drawLog(state, find('#all').checked)
    estimate()
  })
}

function onLink(mode, words) {
  find('#link').dataset.state = mode
  find('#link').textContent = words
}

function onEvent(event, payload) {
  receive(state, event, payload)
  if (event === 'error.rateLimitWarning') notice(payload.message)
  else if (event === 'error.brokerDisconnected' || event === 'broker.connected')
    notice(state.broker)
  else if (event === 'connection.authorized') notice(state.broker)
  else if (event === 'connection.error') notice(payload.message)
  if (event === 'state.sync') void settleEnded()
  draw()
}

/** Asks the trade API for the final status of orders that ended while the page was offline. */
async function settleEnded() {
  for (const order of [...state.orders.values()].filter(({ status }) => status === 'ended')) {
    const known = await ask('GET', `/api/v1/trades/${encodeURIComponent(order.id)}`).catch(
      () => null,
    )
    if (known === null || order.status !== 'ended') continue
    order.status = known.status === 'canceled' ? 'cancelled' : known.status
    order.filled = Number(known.filledQuantity)
    if (known.averageFillPrice !== null) order.price = Number(known.averageFillPrice)
    if (known.reason !== null) order.why = known.reason
  }
  draw()
}

function showDesk() {
  const { user } = session()
  state = emptyState()
  find('#login').hidden = true
  for (const id of ['desk', 'who', 'logout', 'dashboard']) find(`#${id}`).hidden = false
  find('#who').textContent = user.name
  find('#dashboard').href = config.dashboardUrl
  notice(null)
  draw()
  connection = connect(config.relayUrl, config.symbols, { onEvent, onLink, onEnd: showLogin })
}

function showLogin(why) {
  connection?.close()
  connection = null
  forget()
  onLink('off', 'offline')
  for (const id of ['desk', 'who', 'logout', 'dashboard']) find(`#${id}`).hidden = true
  find('#login').hidden = false
  notice(why)
}

const problem = (form, text) => (form.querySelector('.problem').textContent = text)

login.addEventListener('submit', (event) => {
  event.preventDefault()
  const { username, password } = Object.fromEntries(new FormData(login))
  problem(login, '')
  logIn(username, password).then(showDesk, (error) => problem(login, error.message))
})
find('#logout').addEventListener('click', () => {
  // The page forgets its login at once; ending the login elsewhere is a best effort.
  ask('POST', '/auth/logout').catch(() => {})
  showLogin()
})

async function cancel(order) {
  const before = order.status
  order.status = 'cancelling'
  draw()
  await ask('DELETE', `/api/v1/trades/${encodeURIComponent(order.id)}`).catch((error) => {
    order.status = before
    expired(error) || problem(ticket, error.message)
    draw()
  })
}

const expired = (error) => error.status === 401 && (showLogin('Your login has expired.'), true)

ticket.addEventListener('submit', (event) => {
  event.preventDefault()
  const { side, symbol, amount, unit, orderType, limitPrice } = Object.fromEntries(
    new FormData(ticket),
  )
  const order = {
    symbol,
    [unit]: amount.trim(),
    orderType,
    ...(orderType === 'limit' ? { limitPrice: limitPrice.trim() } : {}),
  }
  // The page makes the id, so pressing twice, or retrying after a lost answer, is still one order.
  const tradeId = (ticket.dataset.tradeId ??= `trade_${crypto.randomUUID()}`)
  const button = ticket.querySelector('.primary')
  button.disabled = true
  problem(ticket, '')
  ask('POST', `/api/v1/trades/${side}`, { ...order, tradeId })
    .then(
      () => {
        const number = (text) => (text === undefined ? null : Number(text))
        placed(state, tradeId, {
          ...{ symbol, side, orderType, limitPrice: number(order.limitPrice) },
          ...{ quantity: number(order.quantity), notional: number(order.notional) },
        })
        delete ticket.dataset.tradeId
      },
      (error) => {
        // After a refusal nothing was queued: the corrected form is a new order with a new id.
        if (error.status !== undefined && error.status < 500) delete ticket.dataset.tradeId
        expired(error) || problem(ticket, error.message)
      },
    )
    .finally(() => {
      button.disabled = false
      draw()
    })
})
ticket.addEventListener('input', () => {
  delete ticket.dataset.tradeId
  estimate()
})

function pick(symbol) {
  ticket.elements.symbol.value = symbol
  delete ticket.dataset.tradeId
  estimate()
}

/** The cost of the order at the last quote. */
function estimate() {
  const { side, orderType, symbol, unit, amount, limitPrice } = ticket.elements
  const isLimit = orderType.value === 'limit'
  const quote = state.quotes.get(symbol.value)
  const market = side.value === 'sell' ? quote?.bid : quote?.ask
  if (isLimit && limitPrice.disabled && Number.isFinite(market))
    limitPrice.value = market.toFixed(2)
  if (!isLimit) limitPrice.value = ''
  limitPrice.disabled = !isLimit
  const price = isLimit ? Number(limitPrice.value) : market
  const cost = unit.value === 'notional' ? Number(amount.value) : Number(amount.value) * price
  find('#estimate').textContent =
    cost > 0 ? `About ${money(cost)}${Number.isFinite(market) ? ` at ${money(price)}` : ''}` : ''
  const button = ticket.querySelector('.primary')
  button.dataset.side = side.value
  button.textContent = `${side.value === 'sell' ? 'Sell' : 'Buy'} ${symbol.value}`
}

find('#all').addEventListener('change', draw)
find('#theme').addEventListener('click', () => {
  const isDark =
    getComputedStyle(document.documentElement).colorScheme === 'dark' ||
    (document.documentElement.dataset.theme === undefined &&
      matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = isDark ? 'light' : 'dark'
})

ticket.elements.symbol.replaceChildren(...config.symbols.map((symbol) => new Option(symbol)))
if (session() === null) showLogin()
else showDesk()
