import { expect, test } from 'vitest';
import { COLUMNS, pinned, read, TABS, write, type View } from './view.ts';

const usual = read('');

test('what goes without saying is not in the address', () => {
  expect(write(usual)).toBe('');
  expect(usual).toMatchObject({ query: '', from: '-24h', to: '', event: '', tab: 'event', utc: false, live: false });
});

test('every view comes back from its address', () => {
  const views: View[] = [
    { ...usual, query: 'type:chat.* "a+b & c=d #1 %20" actor:(ñandú OR 漢字)' },
    { ...usual, from: 'all', live: true, utc: true },
    { ...usual, from: '2026-11-21T10:00:00.000Z', to: '2026-11-21T11:00:00.000Z' },
    ...TABS.map((tab) => ({ ...usual, event: '0-12', tab })),
    ...COLUMNS.map((column) => ({ ...usual, columns: [column] })),
    { ...usual, columns: [...COLUMNS] },
  ];
  for (const view of views) expect(read(write(view))).toEqual(view);
});

test('an address stays readable', () => {
  expect(write({ ...usual, query: 'type:poll.opened aggregate:poll/bands' })).toBe(
    'query=type:poll.opened+aggregate:poll/bands',
  );
});

test('what cannot be read is as if it were not there', () => {
  expect(read('from=yesterday&to=all&event=12&tab=secret&columns=password&zone=mars&live=yes')).toEqual(usual);
});

test('a link for later says moments, not spans, and does not run', () => {
  const now = new Date('2026-11-21T12:00:00Z');
  expect(pinned({ ...usual, from: '-1h', live: true }, now)).toEqual({
    ...usual,
    from: '2026-11-21T11:00:00.000Z',
    to: '2026-11-21T12:00:00.000Z',
    live: false,
  });
  expect(pinned({ ...usual, from: 'all' }, now)).toMatchObject({ from: 'all', to: '2026-11-21T12:00:00.000Z' });
});
