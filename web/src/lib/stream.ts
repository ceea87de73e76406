import { ask, isAborted, heard, Problem, Unreachable, type Options } from './api.ts';

/** One server-sent event. */
export interface Frame {
  id: string;
  event: string;
  data: string;
}

/**
 * Reads frames out of a text/event-stream as its pieces come. Not the browser's EventSource: that one tells nothing of events
 * whose names it was not told before, nor why a stream was refused, nor when it will try again.
 */
export class Frames {
  #rest = '';

  push(piece: string): Frame[] {
    const blocks = (this.#rest + piece).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    return blocks.map(parse).filter((frame) => frame !== undefined);
  }
}

function parse(block: string): Frame | undefined {
  const frame: Frame = { id: '', event: 'message', data: '' };
  let some = false;
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
    if (name !== 'id' && name !== 'event' && name !== 'data') continue;
    some ||= name === 'data';
    frame[name] = name === 'data' && frame.data !== '' ? `${frame.data}\n${value}` : value;
  }
  return some ? frame : undefined;
}

/**
 * Listens until the stream ends, or `signal` says so. Throws `Problem` if it is refused, `Unreachable` if it breaks off. The
 * frames of one piece are handed over together.
 */
export async function listen(
  path: string,
  options: Options & { opened?: () => void; frames: (frames: Frame[]) => void },
): Promise<void> {
  const { opened, frames, ...rest } = options;
  const response = await ask(path, { ...rest, accept: 'text/event-stream' });
  opened?.();
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new Frames();
  try {
    while (reader !== undefined) {
      const { done, value } = await reader.read();
      if (done) break;
      const whole = parser.push(value);
      if (whole.length > 0) frames(whole);
    }
  } catch (error) {
    if (options.signal?.aborted || isAborted(error)) throw error;
  }
  options.signal?.throwIfAborted();
  heard.silent();
  throw new Unreachable('the stream broke off');
}

export { Problem, Unreachable };
