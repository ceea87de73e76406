/** Spans of time: relative ones by their name (`-15m`), or moments. */

export const PRESETS = ['-5m', '-15m', '-1h', '-6h', '-24h', '-7d', 'all'] as const;
export const DEFAULT_FROM = '-24h';

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** What an address says of when to begin or end; `undefined` where it is nothing that can be read. */
export function isBound(text: string): boolean {
  return text === 'all' || lengthOf(text) !== undefined || !Number.isNaN(Date.parse(text));
}

/** The length of a relative span in milliseconds. */
export function lengthOf(text: string): number | undefined {
  const [, amount, unit] = /^-(\d{1,6})([smhd])$/.exec(text) ?? [];
  return amount === undefined || unit === undefined ? undefined : Number(amount) * (UNIT_MS[unit] ?? 0);
}

/** The moment that a bound means now; `undefined` for none: from the beginning, or to the present. */
export function resolve(text: string, now: Date): Date | undefined {
  if (text === '' || text === 'all') return undefined;
  const length = lengthOf(text);
  return length === undefined ? new Date(text) : new Date(now.getTime() - length);
}

/** Twice as long around the same middle, not beyond the present: where zooming out leads. */
export function wider(from: Date, to: Date, now: Date): { from: string; to: string } {
  const half = Math.max(to.getTime() - from.getTime(), 1_000) / 2;
  const end = to.getTime() + half;
  const begin = new Date(from.getTime() - half).toISOString();
  return { from: begin, to: end >= now.getTime() ? '' : new Date(end).toISOString() };
}

/** For an input of type datetime-local: the wall clock, to the second. */
export function toInput(moment: Date, utc: boolean): string {
  const shifted = utc ? moment : new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

/** What somebody wrote into an input of type datetime-local, as a moment. */
export function fromInput(text: string, utc: boolean): Date | undefined {
  const moment = new Date(utc ? `${text}Z` : text);
  return text === '' || Number.isNaN(moment.getTime()) ? undefined : moment;
}
