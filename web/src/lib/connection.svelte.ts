import { ask, heard } from './api.ts';

/** How long the first silence lasts until the gateway is asked again, and the longest one, in seconds. */
const FIRST_S = 1;
const LONGEST_S = 15;
/** How often the gateway is asked for a sign of life while nothing else is asked of it. */
const QUIET_MS = 10_000;

type State = 'connected' | 'reconnecting' | 'offline';

/**
 * Whether the gateway answers. Streams and requests tell what they hear; when nobody answers, the gateway is asked for a sign
 * of life again and again, with growing pauses, and those who wait for it are woken when it has come.
 */
class Connection {
  state = $state<State>('connected');
  /** Seconds until it is asked again; 0 while it is being asked. */
  seconds = $state(0);
  /** Counts how often the connection came back: an effect that reads it runs again then. */
  restored = $state(0);

  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting: (() => void)[] = [];
  #answered = Date.now();

  constructor() {
    heard.answered = () => this.#up();
    heard.silent = () => this.#down();
  }

  /** Looks after the connection for as long as the page lives. */
  start(): void {
    addEventListener('online', () => this.retry());
    addEventListener('offline', () => this.#down());
    document.addEventListener('visibilitychange', () => this.#look());
    setInterval(() => this.#look(), QUIET_MS);
  }

  /** Asks now. */
  retry(): void {
    clearTimeout(this.#timer);
    this.seconds = 0;
    void this.#probe();
  }

  /** Resolves when the gateway answers again (at once if it does now). */
  async back(signal: AbortSignal): Promise<void> {
    if (this.state === 'connected') return;
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#waiting.push(resolve);
    });
  }

  #look(): void {
    const quiet = Date.now() - this.#answered >= QUIET_MS;
    if (quiet && this.state === 'connected' && document.visibilityState === 'visible') void this.#probe();
  }

  async #probe(): Promise<void> {
    // What comes of it is heard by `heard`.
    await ask('livez').catch(() => {});
  }

  #up(): void {
    this.#answered = Date.now();
    if (this.state === 'connected') return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.state = 'connected';
    this.#tries = 0;
    this.restored += 1;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #down(): void {
    this.state = navigator.onLine ? 'reconnecting' : 'offline';
    if (this.seconds > 0) return;
    this.seconds = Math.min(FIRST_S * 2 ** this.#tries, LONGEST_S);
    this.#tries += 1;
    this.#tick();
  }

  #tick(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.seconds -= 1;
      if (this.seconds > 0) this.#tick();
      else void this.#probe();
    }, 1_000);
  }
}

export const connection = new Connection();
