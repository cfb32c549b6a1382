import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-bundle-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a page loads: the device with its browser store. */
async function bundle(): Promise<{ readonly text: string; readonly metafile: Metafile }> {
  const entry = join(here, 'browser-entry.test-kit.ts');
  const { outputFiles, metafile } = await build({ entryPoints: [entry], bundle: true, platform: 'browser', format: 'esm', target: 'es2024', write: false, metafile: true, logLevel: 'silent', minify: true });
  return { text: (outputFiles[0] as { text: string }).text, metafile };
}

describe('the device in a browser', () => {
  it('is bundled without any Node module', async () => {
    const { text, metafile } = await bundle();
    const externals = Object.values(metafile.inputs).flatMap((input) => input.imports).filter((found) => found.external === true || found.path.startsWith('node:')).map((found) => found.path);
    expect(externals).toEqual([]);
    expect(text).not.toMatch(/\bfrom\s*"node:|\brequire\("(?!reflect)/);
    const rooms = new Set(Object.keys(metafile.inputs).filter((path) => path.includes('src/')).map((path) => path.split('src/')[1]?.split('/')[0]));
    for (const room of ['store', 'org', 'sim', 'cli', 'web']) expect(rooms).not.toContain(room);
    expect(Object.keys(metafile.inputs).filter((path) => /ledger\/(embedded|fabric)\//.test(path))).toEqual([]);
  });

  it('loads where neither process nor Buffer exist', async () => {
    const { text } = await bundle();
    const file = join(folder, 'device.mjs');
    writeFileSync(file, `const keep = { process: globalThis.process, Buffer: globalThis.Buffer };\nglobalThis.process = undefined; globalThis.Buffer = undefined;\n${text}`);
    const kept = { process: globalThis.process, Buffer: globalThis.Buffer };
    try {
      const module = (await import(file)) as { createDevice: unknown; openIndexedDbKeyValueStore: unknown };
      expect(typeof module.createDevice).toBe('function');
      expect(typeof module.openIndexedDbKeyValueStore).toBe('function');
    } finally {
      Object.assign(globalThis, kept);
    }
  });
});
