import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

describe('the client part in a browser', () => {
  it('carries no Node module, no gRPC and no generated protobuf code', async () => {
    const contents = ["export * from './gateway-client.ts'", "export * from './signer.ts'", "export * from './http-transport.ts'", "export * from './block.ts'", "export * from './client-identity.ts'"].join(';');
    const { outputFiles, metafile } = await build({ stdin: { contents, resolveDir: here('.') }, bundle: true, write: false, minify: true, format: 'esm', platform: 'browser', metafile: true, absWorkingDir: here('../..') });
    const inputs = Object.keys(metafile.inputs);
    expect(inputs.filter((file) => /node_modules|embedded|fabric\//.test(file))).toEqual([]);
    const bundle = outputFiles[0]?.text ?? '';
    expect(/["'`]node:/.test(bundle)).toBe(false);
    expect(bundle.length).toBeLessThan(60_000);
  });
});
