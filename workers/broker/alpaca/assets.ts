import type { Alpaca } from '@alpacahq/alpaca-trade-api'
import { z } from 'zod'
import type { Asset } from '#domain'
import { decimalOf } from './fields.ts'
import { known, type OnUnread, read, wireRows } from './read.ts'

/**
 * The asset classes that are traded here; the broker lists one class at a time. Options are
 * contracts, and have a list of their own.
 */
const CLASSES = ['us_equity', 'crypto'] as const

const increment = z
  .unknown()
  .optional()
  .transform((value) => decimalOf(value))

const shape = z.object({
  symbol: z.string().min(1),
  class: z.enum([...CLASSES, 'other']).catch('other'),
  tradable: z.boolean(),
  fractionable: z.boolean().catch(false),
  shortable: z.boolean().catch(false),
  min_order_size: increment,
  min_trade_increment: increment,
  price_increment: increment,
})

/** Reads the list of each class, one request each. An unreadable row is left out. */
export async function listAssets(
  { assets }: Alpaca['trading'],
  permit: () => Promise<void>,
  onUnread: OnUnread,
): Promise<readonly Asset[]> {
  const all: Asset[] = []
  for (const [index, assetClass] of CLASSES.entries()) {
    if (index > 0) await permit()
    const rows = await read(() => wireRows(assets.getV2AssetsRaw({ status: 'active', assetClass })))
    all.push(...known(rows, readAsset, (id) => onUnread('assets', id)))
  }
  return all
}

function readAsset(wire: unknown): Asset {
  const row = shape.parse(wire)
  const isCrypto = row.class === 'crypto'
  return {
    symbol: row.symbol,
    assetClass: row.class,
    isTradable: row.tradable,
    isFractionable: row.fractionable || isCrypto,
    isShortable: row.shortable,
    quantityMin: row.min_order_size,
    quantityIncrement: row.min_trade_increment,
    priceIncrement: row.price_increment,
  }
}
