import { DEFAULT_FROM, isBound, resolve } from './ranges.ts';

/** Everything that the Record page shows is decided by this, and all of it is in the address. */
export interface View {
  query: string;
  /** An expression that must hold besides. */
  filter: string;
  /** `-24h`, `all`, or a moment. */
  from: string;
  /** Empty for the present, or a moment. */
  to: string;
  /** The position of the event that is open. */
  event: string;
  tab: Tab;
  utc: boolean;
  /** Whether what comes is shown as it comes. */
  live: boolean;
  columns: Column[];
}

export const TABS = ['event', 'meta', 'graph', 'state', 'context', 'raw'] as const;
export type Tab = (typeof TABS)[number];

export const COLUMNS = ['time', 'type', 'aggregate', 'actor', 'summary', 'position'] as const;
export type Column = (typeof COLUMNS)[number];

const DEFAULT_COLUMNS: readonly Column[] = ['time', 'type', 'aggregate', 'actor', 'summary'];

/** Reads an address. What cannot be read is as if it were not there. */
export function read(search: string): View {
  const params = new URLSearchParams(search);
  const text = (name: string) => params.get(name) ?? '';
  const from = text('from');
  const to = text('to');
  const columns = COLUMNS.filter((column) => text('columns').split(',').includes(column));
  return {
    query: text('query'),
    filter: text('filter'),
    from: isBound(from) ? from : DEFAULT_FROM,
    to: to !== 'all' && isBound(to) ? to : '',
    event: /^\d+-\d+$/.test(text('event')) ? text('event') : '',
    tab: TABS.find((tab) => tab === text('tab')) ?? 'event',
    utc: text('zone') === 'utc',
    live: text('live') === '1',
    columns: columns.length > 0 ? columns : [...DEFAULT_COLUMNS],
  };
}

/** Writes an address, without what goes without saying. */
export function write(view: View): string {
  const params = new URLSearchParams();
  const put = (name: string, value: string, usual: string) => {
    if (value !== usual) params.set(name, value);
  };
  put('query', view.query, '');
  put('filter', view.filter, '');
  put('from', view.from, DEFAULT_FROM);
  put('to', view.to, '');
  put('event', view.event, '');
  if (view.event !== '') put('tab', view.tab, 'event');
  put('zone', view.utc ? 'utc' : 'local', 'local');
  put('live', view.live ? '1' : '', '');
  put('columns', view.columns.join(','), DEFAULT_COLUMNS.join(','));
  // Colons, slashes and commas stay readable: a query may hold them.
  return params.toString().replace(/%3A/g, ':').replace(/%2F/g, '/').replace(/%2C/g, ',');
}

/** The same view for somebody else and for later: with moments in place of what counts from the present. */
export function pinned(view: View, now: Date): View {
  const from = resolve(view.from, now);
  return {
    ...view,
    from: from === undefined ? view.from : from.toISOString(),
    to: view.to === '' ? now.toISOString() : (resolve(view.to, now)?.toISOString() ?? view.to),
    live: false,
  };
}
