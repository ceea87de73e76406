import { get, isAborted, now, Problem, Unreachable } from '../lib/api.ts';
import type { Params } from '../lib/base.ts';
import { connection } from '../lib/connection.svelte.ts';
import { sequence, type EventsPage, type Facets, type Hits, type RecordedEvent } from '../lib/events.ts';
import { EventPages, PAGE_EVENTS } from './pages.ts';
import { resolve } from './ranges.ts';
import type { View } from './view.ts';

/** What is asked for: words and a time. */
export type Wish = Pick<View, 'query' | 'from' | 'to'>;

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
  /** Counts what happens to the list: who shows rows reads it. */
  revision = $state(0);
  /** The time that the search covers. */
  since = $state.raw<Date>(new Date(0));
  until = $state.raw<Date>(new Date(0));
  /** Where the record stood when the list was read: what comes later is news. */
  head = '0-0';

  #wish: Wish = { query: '', from: '', to: '' };
  #given = new AbortController();
  #pages = new EventPages();
  #reading = false;
  #rowOnScreen = 0;
  #first: string | undefined;

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
    try {
      const until = resolve(wish.to, now()) ?? now();
      const since = resolve(wish.from, now()) ?? (await this.#beginning(signal));
      const pages = new EventPages();
      const list = this.#read(pages, { end: 'newest', index: 0, cursor: undefined }, signal, since);
      const counted = this.#count(since, until, pages, signal);
      await list;
      signal.throwIfAborted();
      this.#pages = pages;
      this.#reading = false;
      this.problem = undefined;
      this.since = since;
      this.until = until;
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
    const { signal } = this.#given;
    const until = resolve(this.#wish.to, now()) ?? now();
    const since = resolve(this.#wish.from, now()) ?? this.since;
    await this.#count(since, until, undefined, signal).catch(() => {});
  }

  /** Sees to it that these rows are here, one page after the other. */
  async need(from: number, to: number): Promise<void> {
    this.#rowOnScreen = from;
    if (this.#reading) return;
    this.#reading = true;
    const [pages, { signal }] = [this.#pages, this.#given];
    try {
      for (;;) {
        const wanted = pages.wanted(this.#rowOnScreen, this.#rowOnScreen + to - from);
        if (wanted === undefined || signal.aborted) break;
        const rows = pages.rows;
        await this.#read(pages, wanted, signal);
        this.revision += 1;
        if (pages.rows === rows && pages.wanted(from, to)?.index === wanted.index && pages.complete) break;
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

  /** The parameters that say what is searched for. */
  params(since: Date | undefined = this.since): Params {
    const { query, from, to } = this.#wish;
    return {
      query,
      since: from === 'all' ? undefined : since?.toISOString(),
      until: to === '' ? undefined : this.until.toISOString(),
    };
  }

  async #read(
    pages: EventPages,
    wanted: { end: 'newest' | 'oldest'; index: number; cursor: string | undefined },
    signal: AbortSignal,
    since?: Date,
  ): Promise<void> {
    const { end, cursor } = wanted;
    const params: Params = { ...this.params(since), order: end, limit: PAGE_EVENTS };
    if (this.#wish.to !== '') params['until'] = resolve(this.#wish.to, now())?.toISOString();
    if (cursor !== undefined) params[end === 'newest' ? 'before' : 'after'] = cursor;
    const page = await get<EventsPage>('api/v1/events', { params, signal });
    signal.throwIfAborted();
    pages.put(wanted, page.events, page.next, this.#rowOnScreen);
    if (end === 'newest' && wanted.index === 0) {
      this.cutShort = false;
      this.head = page.events[0]?.position ?? page.searched?.to ?? this.head;
    }
    if (page.cut_short) this.cutShort = true;
  }

  async #count(since: Date, until: Date, pages: EventPages | undefined, signal: AbortSignal): Promise<void> {
    const bounds = { query: this.#wish.query, since: since.toISOString(), until: until.toISOString() };
    const hits = get<Hits>('api/v1/events/hits', { params: { ...bounds, step: 'auto', field: 'type' }, signal });
    const facets = get<Facets>('api/v1/events/facets', { params: { ...bounds, limit: 10 }, signal });
    const [counted, narrowed] = await Promise.allSettled([hits, facets]);
    signal.throwIfAborted();
    this.since = since;
    this.until = until;
    this.hits = counted.status === 'fulfilled' ? counted.value : undefined;
    this.facets = narrowed.status === 'fulfilled' ? narrowed.value : undefined;
    // The list is worth showing without them; what is in their way stands in their place.
    const failed = [counted, narrowed].find((outcome) => outcome.status === 'rejected')?.reason;
    this.uncounted = failed instanceof Problem ? failed : undefined;
    if (pages !== undefined && this.hits !== undefined && (this.hits.searched?.complete ?? true)) {
      pages.expect(this.hits.total);
    }
    this.revision += 1;
  }

  /** When the record began: a histogram needs to know. */
  async #beginning(signal: AbortSignal): Promise<Date> {
    if (this.#first === undefined) {
      const params = { order: 'oldest', limit: 1 };
      const page = await get<EventsPage>('api/v1/events', { params, signal });
      const first = page.events[0];
      this.#first = first?.recordedtime ?? first?.time;
    }
    return this.#first === undefined ? new Date(now().getTime() - 3_600_000) : new Date(this.#first);
  }
}

/** Whether an event came after a position. */
export function isAfter(event: RecordedEvent, position: string): boolean {
  return sequence(event.position) > sequence(position);
}
