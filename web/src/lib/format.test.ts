import { expect, test } from 'vitest';
import { compact, count, decimal, moment, percent, plural, stamp, tick } from './format.ts';

const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ');
const time = new Date('2026-11-21T15:04:05.067Z');

test('numbers are written as the language does', () => {
  expect(count(1_234_567, 'en')).toBe('1,234,567');
  expect(plain(count(1_234, 'es'))).toBe('1.234');
  expect(compact(12_345, 'en')).toBe('12.3K');
  expect(decimal(3.14159, 'en')).toBe('3.1');
  expect(decimal(1_234.5, 'es')).toBe('1.235');
  expect(plain(percent(0.4237, 'en'))).toBe('42.4%');
  expect(plural(1, 'es')).toBe('one');
  expect(plural(0, 'en')).toBe('other');
});

test('times of a list can be compared line by line', () => {
  expect(stamp(time, true)).toBe('2026-11-21 15:04:05.067');
  expect(stamp('2026-11-21T23:59:59.999999Z', true)).toBe('2026-11-21 23:59:59.999');
  expect(stamp('', true)).toBe('');
});

test('a moment in full, and on an axis', () => {
  expect(plain(moment(time, 'en', true))).toMatch(/November 21, 2026 at 3:04:05 PM UTC/);
  expect(plain(moment(time, 'es', true))).toMatch(/21 de noviembre de 2026/);
  expect(tick(time, 60_000, 'en', true)).toBe('15:04:05');
  expect(tick(time, 3_600_000, 'es', true)).toBe('15:04');
  expect(tick(time, 30 * 86_400_000, 'es', true)).toBe('21 nov');
});
