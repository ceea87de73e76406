import { base } from './base.ts';

export type Page = 'record' | 'live' | 'unknown';

/**
 * The address of the page, as state: which page it is, and what its query says. Pages write to it; the browser's back and
 * forward buttons do as well.
 */
class Router {
  page = $state<Page>('record');
  /** The query of the address, without the question mark. */
  search = $state('');

  constructor() {
    this.#read();
    addEventListener('popstate', () => this.#read());
  }

  /** Goes to a page. */
  go(page: Page, search = ''): void {
    history.pushState(null, '', href(page, search));
    this.#read();
  }

  /** Says what the page shows: as a step to go back from, or in place of what was there. */
  say(search: string, how: 'push' | 'replace'): void {
    if (search === this.search) return;
    const address = href(this.page, search);
    if (how === 'push') history.pushState(null, '', address);
    else history.replaceState(null, '', address);
    this.search = search;
  }

  #read(): void {
    const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : location.pathname;
    this.page = path === '' || path === 'record' ? 'record' : path === 'live' ? 'live' : 'unknown';
    this.search = location.search.slice(1);
  }
}

/** The address of a page. */
export function href(page: Page, search = ''): string {
  return `${base}${page}${search === '' ? '' : `?${search}`}`;
}

export const router = new Router();
