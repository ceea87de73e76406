/** Where the token is kept: in this tab alone, for as long as it is open. */
const KEY = 'cabildo.token';
/** How the link that `cabildo up` prints brings it. What stands behind `#` no server ever gets. */
const FRAGMENT = '#token=';

/** Takes the token out of the address, so that nobody reads it there or keeps it with a bookmark. */
export function takeToken(): void {
  if (!location.hash.startsWith(FRAGMENT)) return;
  const token = location.hash.slice(FRAGMENT.length);
  history.replaceState(history.state, '', location.pathname + location.search);
  if (token !== '') sessionStorage.setItem(KEY, token);
}

/** What the gateway is shown, if there is anything to show. */
export function token(): string | undefined {
  return sessionStorage.getItem(KEY) ?? undefined;
}

/** Forgets a token that is good no more: without one, a guest may still read and talk. */
export function forgetToken(): void {
  sessionStorage.removeItem(KEY);
}
