import { describe, expect, test } from 'vitest';
import { asks, quote, term, toggle, words } from './query.ts';

describe('a value in a query', () => {
  test.each([
    ['poll.ballot.cast', 'poll.ballot.cast'],
    ['poll/bands', 'poll/bands'],
    ['07', '07'],
    ['Ana María', '"Ana María"'],
    ['say "hi"', '"say \\"hi\\""'],
    ['back\\slash', '"back\\\\slash"'],
    ['-minus', '"-minus"'],
    ['a:b', 'a:b'],
    [':b', '":b"'],
    ['(a)', '"(a)"'],
    ['>5', '">5"'],
    ['*', '"*"'],
    ['chat.*', '"chat.*"'],
    ['OR', '"OR"'],
    ['', '""'],
  ])('%s is written %s', (value, written) => {
    expect(quote(value)).toBe(written);
    // Whatever it is, it stays one word.
    expect(words(`type:x actor:${written} last`)).toEqual(['type:x', `actor:${written}`, 'last']);
  });
});

test('a query falls into words; quotes and brackets hold them together', () => {
  expect(words('  type:a   "free text" -actor:(ana OR "eva maría")  x')).toEqual([
    'type:a',
    '"free text"',
    '-actor:(ana OR "eva maría")',
    'x',
  ]);
  expect(words('')).toEqual([]);
  expect(words('"never closed and')).toEqual(['"never closed and']);
});

test('a term is added, turned round and taken away; the rest stays', () => {
  const first = toggle('hola', 'type', 'poll.opened', false);
  expect(first).toBe('hola type:poll.opened');
  expect(asks(first, 'type', 'poll.opened')).toBe('with');
  const second = toggle(first, 'type', 'poll.opened', true);
  expect(second).toBe('hola -type:poll.opened');
  expect(asks(second, 'type', 'poll.opened')).toBe('without');
  expect(toggle(second, 'type', 'poll.opened', true)).toBe('hola');
  expect(asks('hola', 'type', 'poll.opened')).toBeUndefined();
});

test('a term of a field is one word', () => {
  expect(term('actor', 'Ana María')).toBe('actor:"Ana María"');
});
