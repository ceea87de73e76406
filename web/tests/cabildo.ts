import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const binary = process.env['CABILDO_BIN'] ?? join(root, 'target/debug/cabildo');

/** Guatemalan bands, as many as are asked for. */
export const VOTES = join(root, 'deploy/seed/votes-gt.json');

/** What a write answers. */
export interface Written {
  id?: string;
  position: string;
}

/** The real binary, everything in one process, with data in a folder of its own. */
export class Cabildo {
  readonly folder = mkdtempSync(join(tmpdir(), 'cabildo-web-'));
  url = '';
  /** An operator's, as it printed it. */
  token = '';
  /** The tokens of all that were started, by where they are reached. */
  static readonly tokens = new Map<string, string>();
  #process: ChildProcess | undefined;

  static async start(): Promise<Cabildo> {
    const cabildo = new Cabildo();
    await cabildo.start();
    return cabildo;
  }

  /** Starts, on any free port the first time and on the same one after that. */
  async start(): Promise<void> {
    const listen = this.url === '' ? '127.0.0.1:0' : new URL(this.url).host;
    const child = spawn(binary, ['up', '--listen', listen, '--data', this.folder, '--log', 'warn'], {
      cwd: this.folder,
    });
    this.#process = child;
    child.stderr.pipe(createWriteStream(join(this.folder, 'stderr.log'), { flags: 'a' }));
    this.url = await new Promise((ready, fail) => {
      let said = '';
      child.stdout.on('data', (piece: Buffer) => {
        said += piece.toString();
        const [, address] = /ready: (http:\S+)/.exec(said) ?? [];
        const [, token] = /#token=(\S+)\n/.exec(said) ?? [];
        if (address === undefined || token === undefined) return;
        this.token = token;
        Cabildo.tokens.set(address, token);
        ready(address);
      });
      child.once('exit', (code) => fail(new Error(`cabildo up ended with ${code}: see ${this.folder}/stderr.log`)));
      child.once('error', fail);
    });
  }

  /** Stops it as an operator does. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  /** Stops it and takes its data away. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a command of the binary. */
  async run(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(binary, args, { cwd: this.folder, maxBuffer: 1 << 26 });
    return stdout;
  }

  async votes(count: number, ...more: string[]): Promise<void> {
    await this.run(
      'produce',
      'votes',
      '--file',
      VOTES,
      '--poll',
      'bands',
      '--count',
      String(count),
      '--server',
      this.url,
      ...more,
    );
  }

  async write(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Written> {
    const response = await fetch(`${this.url}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Written;
  }

  async read<T>(path: string): Promise<T> {
    const headers = { authorization: `Bearer ${this.token}` };
    const response = await fetch(`${this.url}/api/v1/${path}`, { headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  say(author: string, text: string, headers: Record<string, string> = {}): Promise<Written> {
    return this.write('POST', 'rooms/lobby/messages', { author, text }, headers);
  }
}

/** A story to look for: somebody asks, somebody answers because of it, and corrects the answer because of that. */
export interface Story {
  question: string;
  answer: string;
  correction: string;
}

/** Votes for bands, a room, and a story in it. */
export async function seed(cabildo: Cabildo, votes = 400): Promise<Story> {
  await cabildo.write('POST', 'polls', { id: 'bands', question: '¿La mejor banda?' });
  await cabildo.votes(votes);
  await cabildo.write('POST', 'rooms', { id: 'lobby', name: 'Lobby' });
  for (const text of ['¡Buenas noches!', 'Ya empieza el conteo', 'Falta el último cartón'])
    await cabildo.say('Ana', text);
  const question = await cabildo.say('Ana', '¿Quién trae la marimba?');
  const caused = async (by: Written) => ({ 'cabildo-causation-id': await idOf(cabildo, by.position) });
  const answer = await cabildo.say('Beto', 'Yo la traigo el sábado', await caused(question));
  const correction = await cabildo.write(
    'PATCH',
    `rooms/lobby/messages/${answer.id}`,
    { text: 'Yo la traigo el domingo' },
    await caused(answer),
  );
  return { question: question.position, answer: answer.position, correction: correction.position };
}

async function idOf(cabildo: Cabildo, position: string): Promise<string> {
  return (await cabildo.read<{ id: string }>(`events/${position}`)).id;
}
