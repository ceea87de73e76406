/** What differs between two JSON values, leaf by leaf. */
export interface Leaf {
  /** `options[0].votes`; empty for the value itself. */
  path: string;
  before: string | undefined;
  after: string | undefined;
  how: 'same' | 'added' | 'removed' | 'changed';
}

/** Every leaf of both values, in the order of the one after (what went comes where it was). */
export function compare(before: unknown, after: unknown): Leaf[] {
  const [old, fresh] = [leaves(before), leaves(after)];
  const paths = [...fresh.keys()];
  let at = 0;
  for (const path of old.keys()) {
    if (fresh.has(path)) at = paths.indexOf(path) + 1;
    else paths.splice(at++, 0, path);
  }
  return paths.map((path) => {
    const [a, b] = [old.get(path), fresh.get(path)];
    const how = a === undefined ? 'added' : b === undefined ? 'removed' : a === b ? 'same' : 'changed';
    return { path, before: a, after: b, how };
  });
}

function leaves(value: unknown): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (value: unknown, path: string) => {
    if (typeof value !== 'object' || value === null) {
      found.set(path, JSON.stringify(value) ?? 'null');
    } else if (Object.keys(value).length === 0) {
      found.set(path, Array.isArray(value) ? '[]' : '{}');
    } else if (Array.isArray(value)) {
      value.forEach((item, i) => walk(item, `${path}[${named(item) ?? i}]`));
    } else {
      for (const [name, item] of Object.entries(value)) walk(item, path === '' ? name : `${path}.${name}`);
    }
  };
  if (value !== null && value !== undefined) walk(value, '');
  return found;
}

/** Items that have a name of their own are told by it, not by where they stand: a tally is sorted anew at every vote. */
function named(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const names = item as Record<string, unknown>;
  for (const key of ['option', 'id', 'message', 'minute', 'name']) {
    if (typeof names[key] === 'string') return names[key];
  }
  return undefined;
}
