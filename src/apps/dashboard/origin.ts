/** A base that no request can name. A path that resolves to another origin leaves this site. */
const HERE = 'http://dashboard.invalid'

/**
 * A path on this site for any requested path, `/` if the requested path leaves the site. The path
 * is resolved twice, as a browser resolves it: removing dots can leave a second leading slash
 * (`/..//host`), and such a path names another host.
 */
export function localPath(asked: string): string {
  const first = asked.startsWith('/') ? URL.parse(asked, HERE) : null
  if (first?.origin !== HERE) return '/'
  const path = first.pathname + first.search
  const again = URL.parse(path, HERE)
  return again?.origin === HERE && again.pathname + again.search === path ? path : '/'
}

/**
 * Checks that a request comes from a page of this site, or from no page at all. `Origin` names the
 * site of the page; its host must be the requested host. The schemes are not compared: behind a TLS
 * proxy the page has `https` and the request `http`. Without `Origin`, browsers send the same fact
 * in `Sec-Fetch-Site`; a client that sends neither header is not a browser.
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
