import type { Redis } from 'ioredis'
import { type Asset, type AssetAnswer, slashedPair } from '#domain'
import { assetsDraftKey, assetsKey, assetsTurnKey } from './keys.ts'
import { BROKER_ENVIRONMENTS, type BrokerEnvironment } from './record-types.ts'
import { firstVersion, readRecord } from './records.ts'

/** How long a list of assets is used after it was read from the broker. */
export const ASSETS_TTL_MS = 24 * 3_600_000
/** How long after a reading a list is read again. */
export const ASSETS_REFRESH_MS = 3_600_000
/**
 * How long a worker that reads the broker's assets keeps the turn before another worker may try.
 */
export const ASSETS_TURN_MS = 60_000
/**
 * Assets that are kept of one environment. Of a longer list the first ones are kept, and a symbol
 * that is not among them is `unknown`.
 */
export const ASSETS_MAX = 50_000
/** Symbols that one call may ask for. */
export const ASSET_SYMBOLS_MAX = 1_000
const FIELDS_PER_WRITE_MAX = 1_000
const LIST_FIELD = '#'

/** The broker's assets, as a worker last wrote them. */
export interface AssetReader {
  /**
   * The stored answer for each symbol, in one command per list. A pair without its slash (`ETHUSD`)
   * is found under its canonical symbol.
   * @param env default: every environment; a symbol that one of the lists has is `listed`
   * @throws if Redis does not answer, or if more than `ASSET_SYMBOLS_MAX` symbols are requested
   */
  find(
    symbols: readonly string[],
    env?: BrokerEnvironment,
  ): Promise<ReadonlyMap<string, AssetAnswer>>
}

/** The assets as the workers use them, who also write the lists. */
export interface Assets extends AssetReader {
  /**
   * Returns whether the caller is to read the list from the broker now: the list is due, and no
   * other worker reads it. The turn is kept for `ASSETS_TURN_MS`.
   */
  takeTurn(env: BrokerEnvironment): Promise<boolean>
  /**
   * Replaces the whole list in one step. The list is due again after `ASSETS_REFRESH_MS`, and
   * forgotten after `ASSETS_TTL_MS`.
   */
  put(env: BrokerEnvironment, assets: readonly Asset[]): Promise<void>
}

type AssetRecord = Readonly<{ schema: 1; asset: Asset }>
type ListRecord = Readonly<{ schema: 1; isWhole: boolean }>
const assetRecord = firstVersion<AssetRecord>()
const listRecord = firstVersion<ListRecord>()

export const createAssetReader = (redis: Redis): AssetReader => ({
  async find(symbols, env) {
    if (symbols.length > ASSET_SYMBOLS_MAX)
      throw new RangeError(`at most ${ASSET_SYMBOLS_MAX} symbols at once`)
    if (symbols.length === 0) return new Map()
    const lists = await Promise.all(
      (env === undefined ? BROKER_ENVIRONMENTS : [env]).map((one) =>
        redis.hmget(assetsKey(one), LIST_FIELD, ...symbols),
      ),
    )
    const answers = lists.map(([list, ...records]) =>
      records.map((text) => answerOf(list ?? null, text)),
    )
    return new Map(symbols.map((symbol, n) => [symbol, best(answers.flatMap((of) => of[n] ?? []))]))
  },
})

/**
 * @param draftId a new id for each writing of a list, so that two workers never write into the same
 *   draft
 */
export const createAssets = (redis: Redis, draftId: () => string): Assets => ({
  ...createAssetReader(redis),

  takeTurn: async (env) =>
    (await redis.set(assetsTurnKey(env), '1', 'PX', ASSETS_TURN_MS, 'NX')) === 'OK',

  async put(env, assets) {
    const draft = assetsDraftKey(env, draftId())
    const fields = fieldsOf(assets)
    await redis.hset(
      draft,
      LIST_FIELD,
      JSON.stringify({ schema: 1, isWhole: assets.length <= ASSETS_MAX }),
    )
    await redis.pexpire(draft, ASSETS_TTL_MS)
    for (let from = 0; from < fields.length; from += FIELDS_PER_WRITE_MAX)
      await redis.hset(draft, new Map(fields.slice(from, from + FIELDS_PER_WRITE_MAX)))
    await redis.rename(draft, assetsKey(env))
    await redis.set(assetsTurnKey(env), '1', 'PX', ASSETS_REFRESH_MS)
  },
})

/**
 * Each asset under its symbol. A pair is also stored without its slash, unless an asset has that
 * name.
 */
function fieldsOf(assets: readonly Asset[]): [symbol: string, record: string][] {
  const records = new Map<string, string>()
  const kept = assets.slice(0, ASSETS_MAX)
  const recordOf = (asset: Asset): string => JSON.stringify({ schema: 1, asset })
  for (const asset of kept)
    if (slashedPair(asset.symbol.replace('/', '')) === asset.symbol)
      records.set(asset.symbol.replace('/', ''), recordOf(asset))
  for (const asset of kept) records.set(asset.symbol, recordOf(asset))
  return [...records]
}

function answerOf(list: string | null, text: string | null | undefined): AssetAnswer {
  if (list === null) return { kind: 'unknown' }
  try {
    const { isWhole } = readRecord(listRecord, 'list of assets', list)
    const record = readRecord(assetRecord, 'asset', text)
    if (record === null) return { kind: isWhole ? 'not_listed' : 'unknown' }
    return { kind: 'listed', asset: record.asset }
  } catch {
    return { kind: 'unknown' } // written by a newer version: the answer is unknown
  }
}

/**
 * The best answer: a list that has the symbol counts first, then a whole list that lacks it, then
 * no list.
 */
const best = (answers: readonly AssetAnswer[]): AssetAnswer =>
  answers.find(({ kind }) => kind === 'listed') ??
  answers.find(({ kind }) => kind === 'not_listed') ?? { kind: 'unknown' }
