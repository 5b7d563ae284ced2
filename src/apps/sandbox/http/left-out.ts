import { Refusal } from '../broker/refusal.ts'

/**
 * Features of the real API that the sandbox lacks. A bare 404 would make users search for a mistake
 * of their own.
 */
const leftOut: readonly (readonly [paths: RegExp, said: string])[] = [
  [/^\/v2\/watchlists\b/, 'the sandbox has no watchlists'],
  [/^\/v2\/options\b|^\/v1beta1\/options\b/, 'the sandbox trades no options'],
  [/^\/v3\/(clock|calendar)\b/, 'the sandbox has one market: ask /v2/clock and /v2/calendar'],
  [/^\/v1beta1\/news\b/, 'the sandbox keeps no news: listen to the stream /v1beta1/news'],
  [
    /corporate[-_]actions\b/,
    'the sandbox announces no corporate actions: they are made with /_sandbox/corporate-actions',
  ],
  [
    /^\/v2\/(wallets|tokenization)\b/,
    'the sandbox has no wallets: money is moved with /_sandbox/accounts/activities',
  ],
]

/**
 * The refusal for a path that only the real API serves; undefined for a path that the real API does
 * not know either.
 */
export function refusalOfLeftOut(path: string): Refusal | undefined {
  const [, said] = leftOut.find(([paths]) => paths.test(path)) ?? []
  return said === undefined ? undefined : new Refusal(501, undefined, said)
}
