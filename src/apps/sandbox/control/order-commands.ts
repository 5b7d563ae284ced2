import type { Matcher } from '../broker/matcher.ts'
import { orderJson } from '../http/shapes.ts'
import type { SandboxControl } from './commands.ts'
import { type Finders, told } from './finders.ts'

type OrderCommands = Pick<
  SandboxControl,
  | 'fillOrder'
  | 'cancelOrder'
  | 'bustExecution'
  | 'correctExecution'
  | 'holdMatching'
  | 'releaseMatching'
>

/** Commands on orders and on their executions. */
export function orderCommands(find: Finders, matcher: Matcher): OrderCommands {
  return {
    fillOrder(orderId, { qty, price, overfill } = {}) {
      const [account, order] = find.order(orderId)
      told(() =>
        matcher.fillNow(
          account,
          order,
          find.amount('qty', qty),
          find.amount('price', price),
          overfill,
        ),
      )
      return orderJson(order)
    },
    cancelOrder(orderId) {
      const [account, order] = find.order(orderId)
      matcher.cancelNow(account, order)
      return orderJson(order)
    },
    bustExecution(id, options) {
      const [account, order, execution] = find.execution(id)
      told(() => matcher.amend(account, order, execution, undefined, options))
      return orderJson(order)
    },
    correctExecution(id, { price, qty }, options) {
      const [account, order, execution] = find.execution(id)
      const to = {
        price: find.amount('price', price) ?? execution.price,
        qty: find.amount('qty', qty) ?? execution.qty,
      }
      told(() => matcher.amend(account, order, execution, to, options))
      return orderJson(order)
    },
    holdMatching: (what) => matcher.hold(find.scope(what)),
    releaseMatching: (what) => matcher.release(find.scope(what)),
  }
}
