import { get, isAborted, now, Problem, Unreachable } from '../lib/api.ts';
import type { Params } from '../lib/base.ts';
import { connection } from '../lib/connection.svelte.ts';
import type { EventsPage, Facets, Hits, RecordedEvent } from '../lib/events.ts';
import { EventPages, PAGE_EVENTS } from './pages.ts';
import { resolve } from './ranges.ts';
import type { View } from './view.ts';

/** What is asked for: words, an expression, and a time. */
export type Wish = Pick<View, 'query' | 'filter' | 'from' | 'to'>;

/**
 * What a search found: the list, the histogram, the facets. The three are asked for at once and come as they come; what an
 * earlier search still had to say is not heard any more.
 */
export class Search {
  phase = $state<'searching' | 'found' | 'failed'>('searching');
  hits = $state.raw<Hits>();
  facets = $state.raw<Facets>();
  /** What the gateway has against the search, or against answering now. */
  problem = $state.raw<Problem>();
  /** What the gateway has against counting. */
  uncounted = $state.raw<Problem>();
  /** The list stopped at a bound of time. */
  cutShort = $state(false);
  /** Of how many events the expression was asked for the page that is being read. */
  examined = $state(0);
  /** For how many of them it was neither true nor false, and why. */
  failed = $state.raw<{ events: number; reason: string }>();
  /** What was searched for, as parameters, but for the expression: counts know none. */
  params = $state.raw<Params>({});
  /** Counts what happens to the list: who shows rows reads it. */
  revision = $state(0);
  /** The time that the search covers. */
  since = $state.raw<Date>(new Date(0));
  until = $state.raw<Date>(new Date(0));
  /** Where the record stood when the list was read: what comes later is news. */
  head = '0-0';

  #wish: Wish = { query: '', filter: '', from: '', to: '' };
  #given = new AbortController();
  #pages = new EventPages();
  #reading = false;
  #rowOnScreen = 0;

  get rows(): number {
    void this.revision;
    return this.#pages.rows;
  }

  get complete(): boolean {
    void this.revision;
    return this.#pages.complete;
  }

  at(row: number): RecordedEvent | undefined {
    return this.#pages.at(row);
  }

  rowOf(position: string): number | undefined {
    return this.#pages.rowOf(position);
  }

  /** Searches. What was found before stays on the screen until there is something new. */
  async run(wish: Wish): Promise<void> {
    this.#given.abort();
    this.#given = new AbortController();
    const { signal } = this.#given;
    this.#wish = wish;
    this.phase = 'searching';
    this.failed = undefined;
    try {
      const bounds = { query: wish.query, ...times(wish) };
      const pages = new EventPages();
      const list = this.#read(pages, { end: 'newest', index: 0, cursor: undefined }, bounds, signal);
      const counted = this.#count(bounds, pages, signal);
      // What goes wrong with the list is told; the count has words of its own.
      counted.catch(() => {});
      await list;
      signal.throwIfAborted();
      this.#pages = pages;
      this.#reading = false;
      this.problem = undefined;
      this.params = bounds;
      this.revision += 1;
      await counted;
      this.phase = 'found';
    } catch (error) {
      if (isAborted(error) || signal.aborted) return;
      this.phase = 'failed';
      this.problem = error instanceof Problem ? error : undefined;
      if (error instanceof Unreachable) void this.#againWhenBack(wish, signal);
      else if (!(error instanceof Problem)) throw error;
    }
  }

  /** Searches the same again. */
  again(): Promise<void> {
    return this.run(this.#wish);
  }

  /** Counts again: the histogram and the facets, not the list. */
  async recount(): Promise<void> {
    const bounds = { query: this.#wish.query, ...times(this.#wish) };
    await this.#count(bounds, undefined, this.#given.signal).catch(() => {});
  }

  /** Sees to it that these rows are here, one page after the other. */
  async need(from: number, to: number): Promise<void> {
    this.#rowOnScreen = from;
    if (this.#reading) return;
    this.#reading = true;
    const [pages, { signal }] = [this.#pages, this.#given];
    let last = '';
    try {
      for (;;) {
        const wanted = pages.wanted(this.#rowOnScreen, this.#rowOnScreen + to - from);
        const name = `${wanted?.end} ${wanted?.index}`;
        // A page that was just read and does not have it all has no more.
        if (wanted === undefined || name === last || signal.aborted) break;
        last = name;
        await this.#read(pages, wanted, this.params, signal);
        this.revision += 1;
      }
    } catch (error) {
      if (!isAborted(error) && !signal.aborted) void this.#goOnWhenBack(signal, from, to);
    } finally {
      if (this.#pages === pages) this.#reading = false;
    }
  }

  async #goOnWhenBack(signal: AbortSignal, from: number, to: number): Promise<void> {
    await connection.back(signal).catch(() => {});
    if (!signal.aborted) await this.need(from, to);
  }

  async #againWhenBack(wish: Wish, signal: AbortSignal): Promise<void> {
    await connection.back(signal).catch(() => {});
    if (!signal.aborted) await this.run(wish);
  }

  async #read(
    pages: EventPages,
    wanted: { end: 'newest' | 'oldest'; index: number; cursor: string | undefined },
    bounds: Params,
    signal: AbortSignal,
  ): Promise<void> {
    const { end } = wanted;
    const filter = this.#wish.filter || undefined;
    const events: RecordedEvent[] = [];
    let { cursor } = wanted;
    let head: string | undefined;
    this.examined = 0;
    for (;;) {
      const params: Params = { ...bounds, filter, order: end, limit: PAGE_EVENTS - events.length };
      if (cursor !== undefined) params[end === 'newest' ? 'before' : 'after'] = cursor;
      const page = await get<EventsPage>('api/v1/events', { params, signal });
      signal.throwIfAborted();
      events.push(...page.events);
      head ??= page.searched?.to ?? page.events[0]?.position;
      cursor = page.next;
      this.#tell(page);
      // An expression is asked of so many events at a time: it goes on from there until the page is full.
      if (filter !== undefined && page.cut_short && cursor !== undefined && events.length < PAGE_EVENTS) continue;
      pages.put(wanted, events, cursor, this.#rowOnScreen);
      if (end === 'newest' && wanted.index === 0) {
        this.cutShort = false;
        this.head = head ?? this.head;
      }
      if (page.cut_short && filter === undefined) this.cutShort = true;
      return;
    }
  }

  #tell({ filter }: EventsPage): void {
    if (filter === undefined) return;
    this.examined += filter.examined;
    if (filter.failed > 0) {
      const reason = this.failed?.reason ?? filter.reason ?? '';
      this.failed = { events: (this.failed?.events ?? 0) + filter.failed, reason };
    }
  }

  async #count(bounds: Params, pages: EventPages | undefined, signal: AbortSignal): Promise<void> {
    const hits = get<Hits>('api/v1/events/hits', { params: { ...bounds, step: 'auto', field: 'type' }, signal });
    const facets = get<Facets>('api/v1/events/facets', { params: { ...bounds, limit: 10 }, signal });
    const [counted, narrowed] = await Promise.allSettled([hits, facets]);
    signal.throwIfAborted();
    this.hits = counted.status === 'fulfilled' ? counted.value : undefined;
    this.facets = narrowed.status === 'fulfilled' ? narrowed.value : undefined;
    if (this.hits !== undefined) {
      this.since = new Date(this.hits.since);
      this.until = new Date(this.hits.until);
    }
    // The list is worth showing without them; what is in their way stands in their place.
    const failed = [counted, narrowed].find((outcome) => outcome.status === 'rejected')?.reason;
    this.uncounted = failed instanceof Problem ? failed : undefined;
    if (
      pages !== undefined &&
      this.#wish.filter === '' &&
      this.hits !== undefined &&
      (this.hits.searched?.complete ?? true)
    ) {
      pages.expect(this.hits.total);
    }
    this.revision += 1;
  }
}

/** The moments that a wish means now, as parameters. */
function times(wish: Wish): Params {
  return {
    since: resolve(wish.from, now())?.toISOString(),
    until: resolve(wish.to, now())?.toISOString(),
  };
}
