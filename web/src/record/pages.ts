import type { RecordedEvent } from '../lib/events.ts';
import { sequence } from '../lib/events.ts';

/** Events of one page. */
export const PAGE_EVENTS = 250;
/** Pages whose events are kept in memory; those furthest from what is on the screen are let go, and read again when needed. */
export const PAGES_KEPT = 24;

interface Page {
  /** What the page was asked for with: `before` this position (from the newest), or `after` it (from the oldest). */
  cursor: string | undefined;
  length: number;
  events: RecordedEvent[] | undefined;
}

/** A page that is missing: where it is read from, and where it goes. */
export interface Wanted {
  end: 'newest' | 'oldest';
  index: number;
  cursor: string | undefined;
}

/**
 * A long list of which only some pages are in memory. It is read from both ends towards the middle: from the newest event down,
 * and, once somebody wanted to see the end, from the oldest up. Rows are counted from the newest.
 */
export class EventPages {
  #newest: Page[] = [];
  #oldest: Page[] = [];
  /** Where each end goes on; `undefined` once the two have met. */
  #nextOlder: string | undefined;
  #nextNewer: string | undefined;
  #complete = false;
  #expected = 0;

  /** Rows as far as is known: those that were read, and those that the count of the search promises. */
  get rows(): number {
    const known = this.#rowsOf(this.#newest) + this.#rowsOf(this.#oldest);
    return this.#complete ? known : Math.max(known + (this.isEmpty ? 0 : 1), this.#expected);
  }

  get isEmpty(): boolean {
    return this.#newest.length === 0;
  }

  /** Whether everything between both ends was read at least once. */
  get complete(): boolean {
    return this.#complete;
  }

  /** How many rows the search has by its own count, as far as that is exact. */
  expect(total: number): void {
    this.#expected = total;
  }

  /** The event of a row, if it is in memory. */
  at(row: number): RecordedEvent | undefined {
    const upper = this.#rowsOf(this.#newest);
    if (row < upper) {
      const index = Math.floor(row / PAGE_EVENTS);
      return this.#newest[index]?.events?.[row - index * PAGE_EVENTS];
    }
    const fromEnd = this.rows - 1 - row;
    const index = Math.floor(fromEnd / PAGE_EVENTS);
    return this.#oldest[index]?.events?.[fromEnd - index * PAGE_EVENTS];
  }

  /** The row of an event that is in memory. */
  rowOf(position: string): number | undefined {
    for (const [index, page] of this.#newest.entries()) {
      const at = page.events?.findIndex((event) => event.position === position) ?? -1;
      if (at >= 0) return index * PAGE_EVENTS + at;
    }
    for (const [index, page] of this.#oldest.entries()) {
      const at = page.events?.findIndex((event) => event.position === position) ?? -1;
      if (at >= 0) return this.rows - 1 - index * PAGE_EVENTS - at;
    }
    return undefined;
  }

  /** What has to be read so that these rows can be shown; `undefined` if all of it is here. */
  wanted(from: number, to: number): Wanted | undefined {
    for (let row = from; row < Math.min(to, this.rows); row += 1) {
      if (this.at(row) === undefined) return this.#missing(row);
    }
    return undefined;
  }

  #missing(row: number): Wanted {
    const [upper, lower] = [this.#rowsOf(this.#newest), this.#rowsOf(this.#oldest)];
    const fromEnd = this.rows - 1 - row;
    if (row < upper) {
      const index = Math.floor(row / PAGE_EVENTS);
      return { end: 'newest', index, cursor: this.#newest[index]?.cursor };
    }
    if (fromEnd < lower) {
      const index = Math.floor(fromEnd / PAGE_EVENTS);
      return { end: 'oldest', index, cursor: this.#oldest[index]?.cursor };
    }
    // Nobody has been here: read on from the nearer end. The far end is only trusted when the count is known.
    const fromOldest = this.#expected > 0 && fromEnd - lower < row - upper;
    return fromOldest
      ? { end: 'oldest', index: this.#oldest.length, cursor: this.#nextNewer }
      : { end: 'newest', index: this.#newest.length, cursor: this.#nextOlder };
  }

  /** Takes in what was read, and lets go of what is furthest from the row on the screen. */
  put(wanted: Wanted, events: RecordedEvent[], next: string | undefined, row: number): void {
    const pages = wanted.end === 'newest' ? this.#newest : this.#oldest;
    const known = pages[wanted.index];
    if (known !== undefined) {
      known.events = events.slice(0, known.length);
    } else if (wanted.index === pages.length) {
      this.#append(wanted, events, next);
    }
    this.#forget(row);
  }

  #append(wanted: Wanted, events: RecordedEvent[], next: string | undefined): void {
    const pages = wanted.end === 'newest' ? this.#newest : this.#oldest;
    const facing = wanted.end === 'newest' ? this.#oldest.at(-1) : this.#newest.at(-1);
    const met = facing?.events?.at(-1) ?? this.#lastSeen(wanted.end === 'newest' ? 'oldest' : 'newest');
    // Where the two ends overlap the events are shown once.
    const fresh = met === undefined ? events : events.filter((event) => this.#isBefore(event, met, wanted.end));
    if (fresh.length > 0) pages.push({ cursor: wanted.cursor, length: fresh.length, events: fresh });
    const last = fresh.at(-1);
    if (last !== undefined) this.#ends[wanted.end] = last;
    if (next === undefined || fresh.length < events.length) this.#complete = true;
    if (wanted.end === 'newest') this.#nextOlder = next;
    else this.#nextNewer = next;
  }

  #ends: { newest?: RecordedEvent; oldest?: RecordedEvent } = {};

  #lastSeen(end: 'newest' | 'oldest'): RecordedEvent | undefined {
    return this.#ends[end];
  }

  #isBefore(event: RecordedEvent, met: RecordedEvent, end: 'newest' | 'oldest'): boolean {
    const [a, b] = [sequence(event.position), sequence(met.position)];
    return end === 'newest' ? a > b : a < b;
  }

  #forget(row: number): void {
    const all = [
      ...this.#newest.map((page, index) => ({ page, row: index * PAGE_EVENTS })),
      ...this.#oldest.map((page, index) => ({ page, row: this.rows - 1 - index * PAGE_EVENTS })),
    ].filter(({ page }) => page.events !== undefined);
    all.sort((a, b) => Math.abs(a.row - row) - Math.abs(b.row - row));
    for (const { page } of all.slice(PAGES_KEPT)) page.events = undefined;
  }

  #rowsOf(pages: Page[]): number {
    return pages.length === 0 ? 0 : (pages.length - 1) * PAGE_EVENTS + (pages.at(-1)?.length ?? 0);
  }
}
