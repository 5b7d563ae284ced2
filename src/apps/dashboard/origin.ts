/** A base that no request can name: a path that leaves it leads elsewhere. */
const HERE = 'http://dashboard.invalid'

/**
 * A path on this site, whatever was asked for: what a browser makes of the path is asked for twice,
 * since removing dots can leave a second leading slash (`/..//host`), and such a path names another
 * host.
 */
export function localPath(asked: string): string {
  const first = asked.startsWith('/') ? URL.parse(asked, HERE) : null
  if (first?.origin !== HERE) return '/'
  const path = first.pathname + first.search
  const again = URL.parse(path, HERE)
  return again?.origin === HERE && again.pathname + again.search === path ? path : '/'
}

/**
 * Whether a request comes from a page of this site, or from no page at all. `Origin` names the site
 * of the page; its host must be the host that was asked. The scheme is not compared: a proxy with
 * TLS in front leaves `https` in the one and `http` in the other. Without `Origin`, browsers say
 * the same in `Sec-Fetch-Site`; a client that sends neither is no browser.
 */
export function isFromHere(header: (name: string) => string | undefined): boolean {
  const origin = header('origin')
  if (origin !== undefined) {
    const page = URL.parse(origin)
    const asked = page === null ? null : URL.parse(`${page.protocol}//${header('host') ?? ''}`)
    return asked !== null && asked.host !== '' && asked.host === page?.host
  }
  const site = header('sec-fetch-site')
  return site === undefined || site === 'same-origin' || site === 'none'
}
