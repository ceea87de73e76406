/** An event of the record, in the structured mode of CloudEvents. */
export interface RecordedEvent {
  id?: string;
  type: string;
  subject?: string;
  time?: string;
  actor?: string;
  correlationid?: string;
  causationid?: string;
  schemaversion?: number;
  traceparent?: string;
  position: string;
  lane: number;
  recordedtime?: string;
  unreadable?: string;
  data: unknown;
}

/** How far a search looked. */
export interface Searched {
  from: string;
  to: string;
  complete: boolean;
}

export interface EventsPage {
  events: RecordedEvent[];
  next?: string;
  cut_short: boolean;
  searched?: Searched;
  /** Of how many events an expression was asked; for how many it was neither true nor false, and why. */
  filter?: { examined: number; failed: number; reason?: string };
}

export interface Hits {
  step: string;
  since: string;
  until: string;
  total: number;
  buckets: { start: string; events: Record<string, number> }[];
  searched?: Searched;
}

export interface Facet {
  field: string;
  values: { value: string; hits: number }[];
  more: boolean;
}

export interface Facets {
  total: number;
  facets: Facet[];
  searched?: Searched;
}

export interface Graph {
  root: string;
  nodes: RecordedEvent[];
  edges: { cause: string; effect: string }[];
  cut_short: boolean;
}

export interface Context {
  event: RecordedEvent;
  before: RecordedEvent[];
  after: RecordedEvent[];
}

export interface StateAround {
  aggregate: string;
  kind: string;
  before: unknown;
  after: unknown;
}

export interface Tally {
  poll: string;
  question: string;
  status: 'open' | 'closed';
  voters: number;
  spoilt: number;
  options: { option: string; votes: number }[];
  position: string;
}

export interface ProjectionState {
  projection: string;
  version: number;
  lag_events: number;
  /** Whether it may be further behind than that: nobody counted further. */
  at_least?: boolean;
  lag_seconds: number;
  parked: number;
  paused: boolean;
  /** Whether its store answers. */
  up?: boolean;
}

export interface Pulse {
  time: string;
  position: string;
  interval_ms: number;
  events: Record<string, number>;
  projections: ProjectionState[];
  connections: { open: number; live: number };
}

/** The number of a position in its shard: `0-123` is 123. Positions of one shard compare by it. */
export function sequence(position: string): number {
  return Number(position.slice(position.indexOf('-') + 1));
}

/** What an event says, in one line: its texts first, for a row of a list. */
export function summary(event: RecordedEvent): string {
  if (event.unreadable !== undefined) return event.unreadable;
  const { data } = event;
  if (typeof data !== 'object' || data === null) return data === null ? '' : String(data);
  const words: string[] = [];
  const others: string[] = [];
  for (const [name, value] of Object.entries(data)) {
    // Who did it stands in a column of its own.
    if (value === null || isId(value) || value === event.actor) continue;
    if (['text', 'question', 'name', 'title', 'choices', 'options', 'reason'].includes(name)) {
      words.push(Array.isArray(value) ? value.join(', ') : String(value));
    } else if (typeof value === 'object') {
      for (const [inner, leaf] of Object.entries(value as object)) {
        if (typeof leaf !== 'object') others.push(`${inner}=${leaf}`);
      }
    } else {
      others.push(`${name}=${value}`);
    }
  }
  return [...words, ...others].join('  ');
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(value);
}
