import { expect, test } from 'vitest';
import type { RecordedEvent } from '../lib/events.ts';
import { EventPages, PAGE_EVENTS, PAGES_KEPT, type Wanted } from './pages.ts';

const event = (seq: number): RecordedEvent => ({ type: 't', position: `0-${seq}`, lane: 0, data: null });

/** A record of so many events, numbered from 1, that is read as the gateway answers. */
function answer(total: number, wanted: Wanted): { events: RecordedEvent[]; next: string | undefined } {
  const cursor = wanted.cursor === undefined ? undefined : Number(wanted.cursor.slice(2));
  const events: RecordedEvent[] = [];
  if (wanted.end === 'newest') {
    for (let seq = (cursor ?? total + 1) - 1; seq > 0 && events.length < PAGE_EVENTS; seq -= 1) events.push(event(seq));
  } else {
    for (let seq = (cursor ?? 0) + 1; seq <= total && events.length < PAGE_EVENTS; seq += 1) events.push(event(seq));
  }
  const last = events.at(-1);
  const more =
    last !== undefined && (wanted.end === 'newest' ? last.position !== '0-1' : last.position !== `0-${total}`);
  return { events, next: more ? last.position : undefined };
}

function show(pages: EventPages, total: number, from: number, to: number): number {
  let read = 0;
  for (let wanted = pages.wanted(from, to); wanted !== undefined; wanted = pages.wanted(from, to)) {
    const { events, next } = answer(total, wanted);
    pages.put(wanted, events, next, from);
    read += 1;
    expect(read).toBeLessThan(1_000);
  }
  return read;
}

function begin(total: number, expected?: number): EventPages {
  const pages = new EventPages();
  const first: Wanted = { end: 'newest', index: 0, cursor: undefined };
  const { events, next } = answer(total, first);
  pages.put(first, events, next, 0);
  if (expected !== undefined) pages.expect(expected);
  return pages;
}

test('rows come from the newest to the oldest, each once', () => {
  const total = 1_234;
  const pages = begin(total);
  const seen: string[] = [];
  for (let row = 0; row < pages.rows; row += 20) {
    show(pages, total, row, row + 20);
    for (let at = row; at < Math.min(row + 20, pages.rows); at += 1) seen.push(pages.at(at)?.position ?? 'none');
  }
  expect(seen).toEqual(Array.from({ length: total }, (_, i) => `0-${total - i}`));
  expect(pages.complete).toBe(true);
});

test('the end is read from the end, and the middle from the nearer side until both meet', () => {
  const total = 10_000;
  const pages = begin(total, total);
  expect(pages.rows).toBe(total);
  expect(show(pages, total, total - 20, total)).toBe(1);
  expect(pages.at(total - 1)?.position).toBe('0-1');
  show(pages, total, 6_000, 6_020);
  expect(pages.at(6_000)?.position).toBe('0-4000');
  show(pages, total, 5_000, 5_020);
  for (let row = 0; row < total; row += 250) {
    show(pages, total, row, row + 20);
    expect(pages.at(row)?.position).toBe(`0-${total - row}`);
  }
  expect(pages.complete).toBe(true);
  expect(pages.rows).toBe(total);
});

test('a count that was wrong is corrected where the ends meet', () => {
  for (const expected of [1_900, 2_100]) {
    const total = 2_000;
    const pages = begin(total, expected);
    show(pages, total, expected - 20, expected);
    for (let row = 0; row < pages.rows; row += 20) show(pages, total, row, row + 20);
    expect(pages.rows).toBe(total);
    expect(pages.at(total - 1)?.position).toBe('0-1');
    expect(pages.at(0)?.position).toBe(`0-${total}`);
  }
});

test('what is far from the screen is let go, and read again', () => {
  const total = PAGE_EVENTS * (PAGES_KEPT + 20);
  const pages = begin(total, total);
  for (let row = 0; row < total / 2; row += 100) show(pages, total, row, row + 40);
  expect(pages.at(0)).toBeDefined();
  show(pages, total, 0, 40);
  const far = PAGE_EVENTS * (PAGES_KEPT - 2);
  for (let row = far; row < total; row += 100) show(pages, total, row, row + 40);
  expect(pages.at(0)).toBeUndefined();
  expect(show(pages, total, 0, 40)).toBe(1);
  expect(pages.at(0)?.position).toBe(`0-${total}`);
});

test('an empty record has no rows', () => {
  const pages = begin(0, 0);
  expect(pages.rows).toBe(0);
  expect(pages.wanted(0, 10)).toBeUndefined();
});
