import { expect, test } from 'vitest';
import { en } from './en.ts';
import { es } from './es.ts';
import { colour, COLOURS } from './colour.ts';
import { summary } from './events.ts';
import { Frames } from './stream.ts';

/** The paths of all texts. */
function paths(words: object, at = ''): string[] {
  return Object.entries(words).flatMap(([name, value]) =>
    typeof value === 'object' ? paths(value as object, `${at}${name}.`) : [at + name],
  );
}

test('both languages have the same words, none of them empty', () => {
  // The words of the search language are the same in both; its examples are not.
  const keys = (words: object) => paths(words).filter((path) => !path.startsWith('examples.'));
  expect(keys(es)).toEqual(expect.arrayContaining(keys(en)));
  expect(keys(en)).toEqual(expect.arrayContaining(keys(es)));
  expect(Object.keys(es.examples)).toHaveLength(Object.keys(en.examples).length);
});

test('one is not several', () => {
  expect([en.found(1, true), en.found(2, true), es.found(1, true), es.found(2, false)]).toEqual([
    '1 event',
    '2 events',
    '1 evento',
    '2 eventos o más',
  ]);
});

test('a type has its colour on every visit', () => {
  expect(colour('poll.ballot.cast')).toBe(0);
  expect(colour('something.else.happened')).toBe(colour('something.else.happened'));
  for (const type of ['a', 'b.c', 'ñ']) expect(colour(type)).toBeLessThan(COLOURS);
});

test('an event is summed up by what it says', () => {
  const event = { type: 't', position: '0-1', lane: 0, actor: 'Ana' };
  const message = '0190f3a0-0000-7000-8000-000000000001';
  expect(summary({ ...event, data: { message, text: 'hola', author: 'Ana' } })).toBe('hola');
  expect(summary({ ...event, data: { voter: 'v', choices: ['A', 'B'], fields: { year: '1996' } } })).toBe(
    'A, B  voter=v  year=1996',
  );
  expect(summary({ ...event, data: null })).toBe('');
  expect(summary({ ...event, data: 'x', unreadable: 'no such version' })).toBe('no such version');
});

test('server-sent events are put together from pieces', () => {
  const frames = new Frames();
  expect(frames.push(': still here\n\nid: 0-1\nevent: poll.op')).toEqual([]);
  expect(frames.push('ened\ndata: {"a":\n')).toEqual([]);
  expect(frames.push('data: 1}\n\nid: 0-2\nevent: x\ndata: {}\n\n')).toEqual([
    { id: '0-1', event: 'poll.opened', data: '{"a":\n1}' },
    { id: '0-2', event: 'x', data: '{}' },
  ]);
});
