import { expect, test } from 'vitest';
import { fromInput, isBound, lengthOf, resolve, toInput, wider } from './ranges.ts';

const now = new Date('2026-11-21T12:00:00Z');

test('spans and moments are told apart, and both from nonsense', () => {
  expect(lengthOf('-90s')).toBe(90_000);
  expect(lengthOf('-7d')).toBe(7 * 86_400_000);
  expect(lengthOf('7d')).toBeUndefined();
  expect(['-5m', 'all', '2026-11-21T10:00:00Z'].every(isBound)).toBe(true);
  expect(['', 'soon', '-5 m', '-5y'].some(isBound)).toBe(false);
});

test('a bound means a moment', () => {
  expect(resolve('-1h', now)?.toISOString()).toBe('2026-11-21T11:00:00.000Z');
  expect(resolve('2026-11-20T00:00:00Z', now)?.toISOString()).toBe('2026-11-20T00:00:00.000Z');
  expect(resolve('all', now)).toBeUndefined();
  expect(resolve('', now)).toBeUndefined();
});

test('zooming out doubles, and ends at the present', () => {
  const at = (hour: number) => new Date(`2026-11-21T${String(hour).padStart(2, '0')}:00:00Z`);
  expect(wider(at(4), at(6), now)).toEqual({ from: at(3).toISOString(), to: at(7).toISOString() });
  expect(wider(at(10), at(12), now)).toEqual({ from: at(9).toISOString(), to: '' });
});

test('inputs are read as they were written', () => {
  for (const utc of [true, false]) {
    expect(fromInput(toInput(now, utc), utc)?.getTime()).toBe(now.getTime());
  }
  expect(toInput(now, true)).toBe('2026-11-21T12:00:00');
  expect(fromInput('', true)).toBeUndefined();
});
