/** Numbers and times as people of a language write them. Formatters are dear to make: each is made once. */

const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.PluralRules>();

function once<T extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.PluralRules>(key: string, make: () => T): T {
  const known = made.get(key);
  if (known !== undefined) return known as T;
  const fresh = make();
  made.set(key, fresh);
  return fresh;
}

/** `12,345`. */
export function count(value: number, language: string): string {
  return once(`count ${language}`, () => new Intl.NumberFormat(language, { useGrouping: 'always' })).format(value);
}

/** `12K`: for where there is little room. */
export function compact(value: number, language: string): string {
  const options = { notation: 'compact', maximumFractionDigits: 1 } as const;
  return once(`compact ${language}`, () => new Intl.NumberFormat(language, options)).format(value);
}

/** A rate or a number of seconds, with at most one decimal below a hundred. */
export function decimal(value: number, language: string): string {
  const maximumFractionDigits = Math.abs(value) < 100 ? 1 : 0;
  const options = { maximumFractionDigits, useGrouping: 'always' } as const;
  return once(`decimal ${maximumFractionDigits} ${language}`, () => new Intl.NumberFormat(language, options)).format(
    value,
  );
}

/** `42.3 %`. */
export function percent(share: number, language: string): string {
  const options = { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 } as const;
  return once(`percent ${language}`, () => new Intl.NumberFormat(language, options)).format(share);
}

export function plural(value: number, language: string): Intl.LDMLPluralRule {
  return once(`plural ${language}`, () => new Intl.PluralRules(language)).select(value);
}

function zone(utc: boolean): { timeZone?: string } {
  return utc ? { timeZone: 'UTC' } : {};
}

/** `2026-11-21 15:04:05.123`, in the order that sorts, whatever the language: for lists. */
export function stamp(time: string | Date, utc: boolean): string {
  const moment = new Date(time);
  if (Number.isNaN(moment.getTime())) return '';
  const parts = once(
    `stamp ${utc}`,
    () =>
      new Intl.DateTimeFormat('en-GB', {
        year: 'numeric',
        month: '2-digit',
        day: '2-digit',
        hour: '2-digit',
        minute: '2-digit',
        second: '2-digit',
        fractionalSecondDigits: 3,
        hourCycle: 'h23',
        ...zone(utc),
      }),
  ).formatToParts(moment);
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? '';
  return `${of('year')}-${of('month')}-${of('day')} ${of('hour')}:${of('minute')}:${of('second')}.${of('fractionalSecond')}`;
}

/** A moment in full, with its zone: `21 November 2026 at 15:04:05 UTC`. */
export function moment(time: string | Date, language: string, utc: boolean): string {
  const options = { dateStyle: 'long', timeStyle: 'long', ...zone(utc) } as const;
  return once(`moment ${language} ${utc}`, () => new Intl.DateTimeFormat(language, options)).format(new Date(time));
}

/** A mark on a time axis: as much of the date as the span asks for. */
export function tick(time: Date, spanMs: number, language: string, utc: boolean): string {
  const hour = 3_600_000;
  const [name, options]: [string, Intl.DateTimeFormatOptions] =
    spanMs <= hour / 6
      ? ['second', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }]
      : spanMs <= 36 * hour
        ? ['minute', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }]
        : ['day', { day: 'numeric', month: 'short' }];
  const key = `tick ${name} ${language} ${utc}`;
  return once(key, () => new Intl.DateTimeFormat(language, { ...options, ...zone(utc) })).format(time);
}
