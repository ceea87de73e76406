import { get, isAborted, Problem } from '../lib/api.ts';
import { connection } from '../lib/connection.svelte.ts';
import type { Pulse, Tally } from '../lib/events.ts';
import { listen, type Frame } from '../lib/stream.ts';
import { History } from './history.ts';

/** Shortest time between two redraws, in milliseconds: at most five a second. */
const REDRAW_MS = 200;
/** How long a refused stream is left alone, in milliseconds. */
const REFUSED_MS = 2_000;

export interface Poll {
  poll: string;
  question: string;
}

/** What the Live page shows, as the gateway tells it. */
export class LiveState {
  polls = $state.raw<Poll[]>();
  tally = $state.raw<Tally>();
  problem = $state.raw<Problem>();
  pulse = $state.raw<Pulse>();
  /** Counts the redraws: who draws the history reads it. */
  drawn = $state(0);
  readonly history = new History();

  #redraw: ReturnType<typeof setTimeout> | undefined;
  #lastTally: Tally | undefined;

  /** Reads which polls there are, as of a position if one is given: the view may not have it yet. */
  async loadPolls(signal: AbortSignal, since?: string): Promise<void> {
    try {
      const polls: Poll[] = [];
      let after: string | undefined;
      do {
        const page = await get<{ polls: Poll[] }>('api/v1/polls', { params: { limit: 1_000, after }, signal, since });
        polls.push(...page.polls);
        after = page.polls.length === 1_000 ? page.polls.at(-1)?.poll : undefined;
      } while (after !== undefined);
      this.polls = polls;
    } catch (error) {
      if (!signal.aborted && !(error instanceof Problem)) {
        await connection.back(signal).catch(() => {});
        if (!signal.aborted) await this.loadPolls(signal, since);
      }
    }
  }

  /** Watches a poll until the signal. */
  watch(poll: string, signal: AbortSignal): void {
    this.tally = undefined;
    this.problem = undefined;
    this.#lastTally = undefined;
    const take = (frames: Frame[]) => {
      const last = frames.at(-1);
      if (last !== undefined) this.#lastTally = JSON.parse(last.data) as Tally;
    };
    const refuse = (problem: Problem) => (this.problem = problem);
    void this.#follow(`api/v1/polls/${encodeURIComponent(poll)}/tally`, signal, take, refuse);
  }

  /** Listens to the pulse until the signal. */
  listen(signal: AbortSignal): void {
    void this.#follow('api/v1/pulse', signal, (frames) => {
      for (const frame of frames) {
        const pulse = JSON.parse(frame.data) as Pulse;
        this.history.add(pulse);
        this.pulse = pulse;
        if (pulse.events['poll.opened'] !== undefined) void this.loadPolls(signal, pulse.position);
      }
    });
    // Time goes on in the charts also while nothing happens.
    const clock = setInterval(() => this.#draw(), 1_000);
    signal.addEventListener('abort', () => clearInterval(clock), { once: true });
  }

  async #follow(
    path: string,
    signal: AbortSignal,
    take: (frames: Frame[]) => void,
    refuse: (problem: Problem) => void = () => {},
  ): Promise<void> {
    while (!signal.aborted) {
      try {
        await listen(path, {
          signal,
          frames: (frames) => {
            take(frames);
            this.#draw();
          },
        });
      } catch (error) {
        if (isAborted(error) || signal.aborted) return;
        if (error instanceof Problem) {
          if (error.document.status < 500) {
            refuse(error);
            return;
          }
          await new Promise((resolve) => setTimeout(resolve, REFUSED_MS));
        }
        await connection.back(signal).catch(() => {});
      }
    }
  }

  #draw(): void {
    this.#redraw ??= setTimeout(() => {
      this.#redraw = undefined;
      this.tally = this.#lastTally;
      this.drawn += 1;
    }, REDRAW_MS);
  }
}
