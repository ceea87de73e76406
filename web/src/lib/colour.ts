/**
 * A colour for each event type, the same everywhere and on every visit. The palette is in `app.css` (`--c0` …), with a shade
 * for light and one for dark; each is told from the page with a contrast of at least 3.
 */
export const COLOURS = 12;

/** What there is most of gets a colour of its own. */
const FIXED: Record<string, number> = {
  'poll.ballot.cast': 0,
  'chat.message.posted': 1,
  'poll.opened': 2,
  'chat.room.opened': 3,
  'chat.message.edited': 4,
  'chat.message.deleted': 5,
  'poll.closed': 6,
  'task.added': 7,
  'task.completed': 8,
  'identity.user.registered': 9,
  'cabildo.unreadable': 10,
  other: 11,
};

/** The number of a value's colour. */
export function colour(value: string): number {
  return FIXED[value] ?? fnv1a(value) % COLOURS;
}

/** The colour as CSS says it. */
export function paint(value: string): string {
  return `var(--c${colour(value)})`;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
