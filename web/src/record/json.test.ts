import { expect, test } from 'vitest';
import { compare } from './json.ts';

test('what was added, changed, removed and what stayed', () => {
  const before = { status: 'open', voters: 1, gone: 'x', options: [{ option: 'b', votes: 1 }] };
  const after = {
    status: 'open',
    voters: 2,
    options: [
      { option: 'a', votes: 1 },
      { option: 'b', votes: 1 },
    ],
  };
  expect(compare(before, after).map(({ path, how }) => `${how} ${path}`)).toEqual([
    'same status',
    'changed voters',
    'removed gone',
    'added options[a].option',
    'added options[a].votes',
    'same options[b].option',
    'same options[b].votes',
  ]);
});

test('what did not exist has no leaves', () => {
  expect(compare(null, { a: [] })).toEqual([{ path: 'a', before: undefined, after: '[]', how: 'added' }]);
  expect(compare({ a: null }, null)).toEqual([{ path: 'a', before: 'null', after: undefined, how: 'removed' }]);
  expect(compare(null, null)).toEqual([]);
});
