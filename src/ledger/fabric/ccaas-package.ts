/**
 * A contract's package for `peer lifecycle chaincode install`: it holds no program, only where the program listens
 * (https://hyperledger-fabric.readthedocs.io/en/release-2.5/cc_service.html). The same bytes on every machine, so that all
 * organisations come to one package id; the address is a name that each peer's builder fills in from its own environment.
 */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { concat, utf8, type Bytes } from '#base/bytes.ts';

export interface CcaasPackage {
  /** `label:` and the SHA-256 of the package, as the peer calculates it. */
  readonly id: string;
  readonly bytes: Bytes;
}

/** The variable in which a peer's builder finds the address of a contract's server. */
export const addressVariable = (contract: string): string => `HEALTHKEEP_CHAINCODE_${contract.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;

/** The package of a contract; a new version is a new label. */
export function ccaasPackage(contract: string, version: string): CcaasPackage {
  const label = `${contract}_${version}`;
  const connection = { address: `@${addressVariable(contract)}@`, dial_timeout: '10s', tls_required: false };
  const code = gzip(tar([['connection.json', utf8(`${JSON.stringify(connection)}\n`)]]));
  const bytes = gzip(tar([['metadata.json', utf8(`${JSON.stringify({ type: 'ccaas', label })}\n`)], ['code.tar.gz', code]]));
  return { id: `${label}:${createHash('sha256').update(bytes).digest('hex')}`, bytes };
}

const BLOCK = 512;

/** POSIX ustar with fixed owner, mode and time (IEEE Std 1003.1, pax, section "ustar Interchange Format"). */
function tar(files: readonly (readonly [string, Bytes])[]): Bytes {
  return concat(...files.flatMap(([name, content]) => [header(name, content.length), content, new Uint8Array((BLOCK - (content.length % BLOCK)) % BLOCK)]), new Uint8Array(2 * BLOCK));
}

function header(name: string, size: number): Bytes {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string): void => block.set(utf8(text), at);
  const octal = (number: number, width: number): string => `${number.toString(8).padStart(width - 1, '0')}\0`;
  put(0, name);
  put(100, octal(0o644, 8));
  put(108, octal(0, 8));
  put(116, octal(0, 8));
  put(124, octal(size, 12));
  put(136, octal(0, 12));
  put(148, ' '.repeat(8));
  put(156, '0');
  put(257, 'ustar\0');
  put(263, '00');
  put(148, `${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `);
  return block;
}

/** Level 0 stores: no two versions of zlib differ in it. The header carries no time and no system (RFC 1952: byte 9 is 255, unknown). */
function gzip(bytes: Bytes): Bytes {
  const out = new Uint8Array(gzipSync(bytes, { level: 0 }));
  out.set([0, 0, 0, 0, 0, 255], 4);
  return out;
}
