import { afterAll, describe, expect, it } from 'vitest';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readGrpcOptions } from './grpc-options.ts';
import type { CommandContext } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-grpc-'));
const file = (name: string): string => {
  writeFileSync(join(folder, name), `${name} in PEM`);
  return join(folder, name);
};
const [cert, key, ca] = ['cert', 'key', 'ca'].map(file) as [string, string, string];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (options: Readonly<Record<string, string | boolean>>) => readGrpcOptions({ options, words: [], env: {}, json: false } as unknown as CommandContext);
const base = { host: '127.0.0.1', port: 7051, clientAuthorities: undefined };

describe('the options of gRPC', () => {
  it.each<readonly [string, Readonly<Record<string, string | boolean>>, unknown]>([
    ['nothing', {}, undefined],
    ['a port', { 'grpc-port': '7051' }, { ...base, tls: undefined }],
    ['a certificate of the ledger\'s own', { 'grpc-port': '7051', tls: true }, { ...base, tls: 'issued' }],
    ['a certificate from elsewhere', { 'grpc-port': '7051', 'grpc-host': '0.0.0.0', 'tls-cert': cert, 'tls-key': key }, { ...base, host: '0.0.0.0', tls: { certificate: 'cert in PEM', privateKey: 'key in PEM' } }],
    ['clients that show one', { 'grpc-port': '7051', 'tls-cert': cert, 'tls-key': key, 'tls-client-ca': ca }, { ...base, tls: { certificate: 'cert in PEM', privateKey: 'key in PEM' }, clientAuthorities: 'ca in PEM' }],
  ])('say %s', (_name, options, expected) => expect(read(options)).toEqual(expected));

  it.each<readonly [string, Readonly<Record<string, string | boolean>>, string]>([
    ['TLS without a port', { tls: true }, 'USAGE_OPTION'],
    ['a host without a port', { 'grpc-host': '0.0.0.0' }, 'USAGE_OPTION'],
    ['a certificate without key', { 'grpc-port': '1', 'tls-cert': cert }, 'USAGE_OPTION'],
    ['a key without certificate', { 'grpc-port': '1', 'tls-key': key }, 'USAGE_OPTION'],
    ['two certificates', { 'grpc-port': '1', 'tls-cert': cert, 'tls-key': key, tls: true }, 'USAGE_OPTION'],
    ['an authority for clients without TLS', { 'grpc-port': '1', 'tls-client-ca': ca }, 'USAGE_OPTION'],
    ['a port that is none', { 'grpc-port': 'seven' }, 'USAGE_OPTION'],
    ['a file that is not there', { 'grpc-port': '1', 'tls-cert': join(folder, 'none'), 'tls-key': key }, 'INPUT_UNREADABLE'],
  ])('are refused: %s', (_name, options, code) => expect(() => read(options)).toThrow(expect.objectContaining({ code })));
});
