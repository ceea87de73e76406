import type { Pulse } from '../lib/events.ts';

/** How much of the past the charts show, in seconds. */
export const HISTORY_S = 120;

/** What happened in each of the last seconds, by type, as pulses tell it. */
export class History {
  #seconds = new Map<number, Map<string, number>>();
  #types = new Map<string, number>();
  /** The last second that a pulse spoke of: it may still grow. */
  last = 0;

  add(pulse: Pulse): void {
    const second = Math.floor(Date.parse(pulse.time) / 1_000);
    if (Number.isNaN(second)) return;
    this.last = Math.max(this.last, second);
    const counts = this.#seconds.get(second) ?? new Map<string, number>();
    for (const [type, events] of Object.entries(pulse.events)) {
      counts.set(type, (counts.get(type) ?? 0) + events);
      this.#types.set(type, second);
    }
    this.#seconds.set(second, counts);
    for (const old of this.#seconds.keys()) if (old < this.last - HISTORY_S) this.#seconds.delete(old);
    for (const [type, seen] of this.#types) if (seen < this.last - HISTORY_S) this.#types.delete(type);
  }

  /** Types that happened, by name: their order does not change as their numbers do. */
  get types(): string[] {
    return [...this.#types.keys()].sort();
  }

  /** The whole seconds up to `now` (in seconds), oldest first; the one that is under way is left out. */
  axis(now: number): number[] {
    const end = Math.max(Math.floor(now), this.last) - 1;
    return Array.from({ length: HISTORY_S }, (_, i) => end - HISTORY_S + 1 + i);
  }

  /** Events of some types in each of these seconds. */
  series(axis: number[], wanted: (type: string) => boolean): number[] {
    return axis.map((second) => {
      let sum = 0;
      for (const [type, events] of this.#seconds.get(second) ?? []) if (wanted(type)) sum += events;
      return sum;
    });
  }
}
