import { address, type Params } from './base.ts';
import { forgetToken, token } from './token.ts';

/** A problem document (RFC 9457) as the gateway writes it. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  field?: string;
  at?: { offset: number; length: number };
}

/** The gateway answered, and said no. */
export class Problem extends Error {
  constructor(readonly document: ProblemDocument) {
    super(document.detail);
  }

  /** The stable word that says what kind of problem it is. */
  get code(): string {
    return this.document.type.slice(this.document.type.lastIndexOf(':') + 1);
  }
}

/** Nobody answered: the gateway or the way to it is down. */
export class Unreachable extends Error {}

/**
 * Told of every answer and every silence: the connection state is made of them; and of what was refused because of who is
 * asking.
 */
export const heard = { answered: () => {}, silent: () => {}, denied: () => {} };

let aheadMs = 0;

/** The present by the gateway's clock, as far as an answer has told (to the second). */
export function now(): Date {
  return new Date(Date.now() + aheadMs);
}

export interface Options {
  params?: Params;
  accept?: string;
  signal?: AbortSignal | undefined;
  /** The answer is to have the event at this position: the gateway waits for its view. */
  since?: string | undefined;
}

/**
 * Asks the gateway, as whom the token says, or as a guest. Throws `Problem` if it says no, `Unreachable` if nobody answers, and what the signal says if it is
 * given up.
 */
export async function ask(path: string, options: Options = {}): Promise<Response> {
  const { params, accept = 'application/json', signal = null, since } = options;
  const headers: Record<string, string> = since === undefined ? { accept } : { accept, 'cabildo-min-position': since };
  const shown = token();
  if (shown !== undefined) headers['authorization'] = `Bearer ${shown}`;
  let response: Response;
  try {
    response = await fetch(address(path, params), { headers, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    heard.silent();
    throw new Unreachable(String(error), { cause: error });
  }
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') ?? false;
  // A proxy speaks for a gateway that is down, and not in problem documents.
  if (!isProblem && response.status >= 502) {
    heard.silent();
    throw new Unreachable(`${response.status}`);
  }
  heard.answered();
  const date = Date.parse(response.headers.get('date') ?? '');
  if (Math.abs(date - Date.now()) > 2_000) aheadMs = date - Date.now();
  if (response.ok) return response;
  const problem = new Problem(isProblem ? await response.json() : unknown(response));
  if (problem.code === 'invalid-token' && shown !== undefined) {
    forgetToken();
    return ask(path, options);
  }
  if (['sign-in', 'forbidden'].includes(problem.code)) heard.denied();
  throw problem;
}

export async function get<T>(path: string, options: Options = {}): Promise<T> {
  const response = await ask(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    heard.silent();
    throw new Unreachable(String(error), { cause: error });
  }
}

/** How long a file that was handed to the browser is kept for it, in milliseconds. */
const KEPT_MS = 60_000;

/** Has the browser keep an answer as a file. A link alone could not show the token. */
export async function save(path: string, params: Params, name: string): Promise<void> {
  const response = await ask(path, { params, accept: '*/*' });
  const file = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement('a'), { href: file, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(file), KEPT_MS);
}

function unknown(response: Response): ProblemDocument {
  const { status, statusText } = response;
  return { type: 'about:blank', title: statusText, status, detail: `${status} ${statusText}` };
}

/** Whether an error is nothing but a request that was given up. */
export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
