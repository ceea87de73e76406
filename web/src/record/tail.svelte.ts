import { isAborted, Problem } from '../lib/api.ts';
import { connection } from '../lib/connection.svelte.ts';
import type { RecordedEvent } from '../lib/events.ts';
import { sequence } from '../lib/events.ts';
import { listen, type Frame } from '../lib/stream.ts';

/** Most events a second that are sent to be shown; the others are counted. Nobody reads more. */
const RATE = 100;
/** How often what came is handed to the list, in milliseconds. */
const SHOW_MS = 200;
/** Most events that wait to be shown; of more than that only the number is kept. */
const WAITING_MAX = 1_000;
/** How long a refused stream is left alone, in milliseconds. */
const REFUSED_MS = 2_000;

/** What comes while somebody watches: shown as it comes, or held back while they read. */
export class Tail {
  /** Newest first: what has come since the list was read, as far as it is shown. */
  shown = $state.raw<RecordedEvent[]>([]);
  /** How much has come that is not shown yet. */
  waiting = $state(0);
  /** How much the gateway left out, since it came too fast. */
  skipped = $state(0);
  paused = $state(false);
  /** Whether somebody reads further down: then nothing moves under their eyes. */
  away = $state(false);
  problem = $state.raw<Problem>();
  /** How much came in all: who counts again because of it reads it. */
  came = $state(0);

  #queue: RecordedEvent[] = [];
  #given = new AbortController();
  #position = '0-0';
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Whether more came than was kept: then the list has to be read again. */
  get overflowed(): boolean {
    return this.waiting > WAITING_MAX || this.shown.length > WAITING_MAX;
  }

  /** Listens from a position on. */
  start(query: string, filter: string, after: string): void {
    this.stop();
    this.#given = new AbortController();
    this.#position = after;
    void this.#follow(query, filter || undefined, this.#given.signal);
  }

  /** Listens no more, and forgets what came. */
  stop(): void {
    this.#given.abort();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
    this.shown = [];
    this.waiting = 0;
    this.skipped = 0;
    this.problem = undefined;
  }

  /** Shows what was held back. */
  show(): void {
    if (this.#queue.length === 0) return;
    this.shown = [...this.#queue.splice(0).reverse(), ...this.shown];
    this.waiting = 0;
  }

  async #follow(query: string, filter: string | undefined, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await listen('api/v1/events/tail', {
          params: { query, filter, after: this.#position, rate: RATE },
          signal,
          opened: () => (this.problem = undefined),
          frames: (frames) => this.#take(frames),
        });
      } catch (error) {
        if (isAborted(error) || signal.aborted) return;
        if (error instanceof Problem) {
          this.problem = error;
          if (error.document.status < 500) return;
          await new Promise((resolve) => setTimeout(resolve, REFUSED_MS));
        }
        await connection.back(signal).catch(() => {});
      }
    }
  }

  #take(frames: Frame[]): void {
    for (const frame of frames) {
      if (frame.event === 'skipped') {
        const left = JSON.parse(frame.data) as { skipped: number; position: string };
        this.skipped += left.skipped;
        this.came += left.skipped;
        this.#position = left.position;
        continue;
      }
      const event = JSON.parse(frame.data) as RecordedEvent;
      if (sequence(event.position) <= sequence(this.#position)) continue;
      this.#position = event.position;
      this.came += 1;
      this.waiting += 1;
      this.#queue.push(event);
    }
    if (this.#queue.length > WAITING_MAX) this.#queue.splice(0, this.#queue.length - WAITING_MAX);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (!this.paused && !this.away) this.show();
    }, SHOW_MS);
  }
}
