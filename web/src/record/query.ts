/** The search language, as far as the front end writes it: terms are added, turned round and taken away. */

/** A value as the search language takes it: in quotes if it is more than a plain word. */
export function quote(value: string): string {
  if (/^[^\s"\\():*<>-][^\s"\\()*]*$/.test(value) && value !== 'OR') return value;
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

/** `field:value`. */
export function term(field: string, value: string): string {
  return `${field}:${quote(value)}`;
}

/** The words of a query, with quotes and brackets kept whole. */
export function words(query: string): string[] {
  const found: string[] = [];
  let word = '';
  let quoted = false;
  let depth = 0;
  for (let i = 0; i < query.length; i++) {
    const c = query[i] ?? '';
    if (quoted && c === '\\') {
      word += c + (query[++i] ?? '');
      continue;
    }
    if (c === '"') quoted = !quoted;
    if (!quoted && c === '(') depth += 1;
    if (!quoted && c === ')') depth -= 1;
    if (/\s/.test(c) && !quoted && depth <= 0) {
      if (word !== '') found.push(word);
      word = '';
    } else {
      word += c;
    }
  }
  if (word !== '') found.push(word);
  return found;
}

/** Adds a term, or its opposite; what says the contrary goes. A term that is there already is taken away. */
export function toggle(query: string, field: string, value: string, without: boolean): string {
  const plain = term(field, value);
  const [wanted, contrary] = without ? [`-${plain}`, plain] : [plain, `-${plain}`];
  const present = words(query);
  const kept = present.filter((word) => word !== wanted && word !== contrary);
  return (present.includes(wanted) ? kept : [...kept, wanted]).join(' ');
}

/** Whether a query asks for a value of a field, or asks to leave it out. */
export function asks(query: string, field: string, value: string): 'with' | 'without' | undefined {
  const present = words(query);
  const plain = term(field, value);
  return present.includes(plain) ? 'with' : present.includes(`-${plain}`) ? 'without' : undefined;
}
