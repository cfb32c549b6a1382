/** A headless Chromium driven over the DevTools protocol with Node's own WebSocket. */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'] as const;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--remote-debugging-port=0'] as const;
/** The browser itself can reach nobody but loopback: what is asked for elsewhere is seen and goes nowhere. */
const LOOPBACK_ONLY = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';
const START_MS = 30_000;
const STOP_MS = 5_000;

/** The browser named by the environment, else the first on the path; undefined when there is none. */
export function findChromium(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const named = env['CHROMIUM'];
  const places = named === undefined || named === '' ? (env['PATH'] ?? '').split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name))) : [named];
  return places.find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface Tab {
  /** Evaluates an expression in the page; its promise is awaited, its value must be JSON. Throws what the page throws. */
  evaluate<T>(expression: string): Promise<T>;
  goTo(url: string): Promise<void>;
  reload(): Promise<void>;
  /** URLs of all requests of this tab so far, refused ones included. */
  readonly requested: readonly string[];
  /** Exceptions that nobody caught. */
  readonly uncaught: readonly string[];
}

export interface Chromium {
  readonly version: string;
  openTab(): Promise<Tab>;
  close(): Promise<void>;
}

type Parameters = Readonly<Record<string, unknown>>;
type Told = (method: string, parameters: any) => void;

interface Wire {
  ask(method: string, parameters?: Parameters, session?: string): Promise<any>;
  listen(session: string, told: Told): void;
  close(): void;
}

/** Starts the browser on a fresh profile inside the folder. */
export async function openChromium({ executable, folder }: { readonly executable: string; readonly folder: string }): Promise<Chromium> {
  const profile = join(folder, 'profile');
  mkdirSync(profile, { recursive: true });
  const child = spawn(executable, [...FLAGS, LOOPBACK_ONLY, `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    const wire = await connect(await debugUrl(child));
    const { product } = (await wire.ask('Browser.getVersion')) as { readonly product: string };
    return {
      version: product,
      openTab: () => openTab(wire),
      async close() {
        await wire.ask('Browser.close').catch(() => undefined);
        await stop(child, ended);
        wire.close();
      },
    };
  } catch (error) {
    await stop(child, ended);
    throw error;
  }
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

/** Chromium says on standard error where its DevTools listen. */
function debugUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const refuse = (why: string): void => reject(new Error(`Chromium did not start (${why}): ${said.slice(-10).join(' | ')}`));
    const timer = setTimeout(() => refuse('time is up'), START_MS);
    child.once('error', (error) => refuse(error.message));
    child.once('exit', (code) => refuse(`exit ${String(code)}`));
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      said.push(line);
      const found = /DevTools listening on (ws:\S+)/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve(found[1] as string);
    });
  });
}

async function connect(url: string): Promise<Wire> {
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('error', () => reject(new Error('the DevTools refuse the connection')), { once: true });
  });
  const waiting = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }>();
  const listeners = new Map<string, Told>();
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error, method, params, sessionId } = JSON.parse(String(data));
    if (id === undefined) return listeners.get(sessionId)?.(method, params);
    const caller = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) caller?.resolve(result);
    else caller?.reject(new Error(error.message));
  });
  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('Chromium ended'));
  });
  return {
    ask: (method, parameters = {}, session) =>
      new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject });
        socket.send(JSON.stringify({ id: last, method, params: parameters, ...(session === undefined ? {} : { sessionId: session }) }));
      }),
    listen: (session, told) => void listeners.set(session, told),
    close: () => socket.close(),
  };
}

async function openTab(wire: Wire): Promise<Tab> {
  const { targetId } = await wire.ask('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await wire.ask('Target.attachToTarget', { targetId, flatten: true });
  const requested: string[] = [];
  const uncaught: string[] = [];
  let loaded: (() => void) | undefined;
  wire.listen(sessionId, (method, parameters) => {
    if (method === 'Network.requestWillBeSent') requested.push(parameters.request.url);
    if (method === 'Network.webSocketCreated') requested.push(parameters.url);
    if (method === 'Runtime.exceptionThrown') uncaught.push(describeException(parameters.exceptionDetails));
    if (method === 'Page.loadEventFired') loaded?.();
  });
  const ask = (method: string, parameters?: Parameters) => wire.ask(method, parameters, sessionId);
  for (const domain of ['Page', 'Network', 'Runtime']) await ask(`${domain}.enable`);
  const loading = async (method: string, parameters?: Parameters): Promise<void> => {
    const done = new Promise<void>((resolve) => (loaded = resolve));
    const { errorText } = await ask(method, parameters);
    if (errorText !== undefined) throw new Error(`the page did not load: ${errorText}`);
    await done;
  };
  return {
    requested,
    uncaught,
    async evaluate(expression) {
      const { result, exceptionDetails } = await ask('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails !== undefined) throw new Error(describeException(exceptionDetails));
      return result.value;
    },
    goTo: (url) => loading('Page.navigate', { url }),
    reload: () => loading('Page.reload'),
  };
}

function describeException(details: { readonly text: string; readonly exception?: { readonly description?: string } }): string {
  return details.exception?.description ?? details.text;
}
