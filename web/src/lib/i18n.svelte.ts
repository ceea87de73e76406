import { en } from './en.ts';
import * as format from './format.ts';
import { settings } from './settings.svelte.ts';

/** All words of the front end. English is the measure: another language has the same words or does not compile. */
export type Words = typeof en;

let spanish = $state.raw<Words>();

/** Sees to it that the words of the language in force are here; those of English always are. */
export async function loadWords(): Promise<void> {
  if (settings.language === 'es') spanish ??= (await import('./es.ts')).es;
}

/** The words of the language in force. Read inside a component it changes with the language. */
export const t = new Proxy({} as Words, {
  get: (_, name) => (settings.language === 'es' ? (spanish ?? en) : en)[name as keyof Words],
});

export const count = (value: number) => format.count(value, settings.language);
export const compact = (value: number) => format.compact(value, settings.language);
export const decimal = (value: number) => format.decimal(value, settings.language);
export const percent = (share: number) => format.percent(share, settings.language);
export const moment = (time: string | Date, utc: boolean) => format.moment(time, settings.language, utc);
export const tick = (time: Date, spanMs: number, utc: boolean) => format.tick(time, spanMs, settings.language, utc);
