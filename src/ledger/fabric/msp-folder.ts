/**
 * MSP and TLS folders as Fabric's programs read them
 * (https://hyperledger-fabric.readthedocs.io/en/release-2.5/membership/membership.html): one organisation's root, one member's
 * certificate and key, and a `config.yaml` that makes the organisational unit in a certificate its role.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface MemberParts {
  /** PEM: the organisation's root, and the root of its TLS certificates. */
  readonly rootCertificate: string;
  readonly tlsRootCertificate: string;
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly privateKey: string;
}

export interface TlsParts {
  readonly rootCertificate: string;
  readonly certificate: string;
  readonly privateKey: string;
}

const CA_FILE = 'cacerts/root.pem';
const UNITS = [['Client', 'client'], ['Peer', 'peer'], ['Admin', 'admin'], ['Orderer', 'orderer']] as const;

/** The `config.yaml` of an MSP folder. */
export function nodeOuConfig(): string {
  const units = UNITS.flatMap(([name, unit]) => [`  ${name}OUIdentifier:`, `    Certificate: ${CA_FILE}`, `    OrganizationalUnitIdentifier: ${unit}`]);
  return ['NodeOUs:', '  Enable: true', ...units, ''].join('\n');
}

/** Writes a member's MSP folder; keys are for its owner's eyes. */
export function writeMspFolder(folder: string, parts: MemberParts): void {
  write(folder, CA_FILE, parts.rootCertificate);
  write(folder, 'tlscacerts/root.pem', parts.tlsRootCertificate);
  write(folder, 'signcerts/cert.pem', parts.certificate);
  write(folder, 'keystore/key.pem', parts.privateKey);
  write(folder, 'config.yaml', nodeOuConfig());
}

/** Writes a node's TLS folder: `ca.crt`, `server.crt`, `server.key`. */
export function writeTlsFolder(folder: string, parts: TlsParts): void {
  write(folder, 'ca.crt', parts.rootCertificate);
  write(folder, 'server.crt', parts.certificate);
  write(folder, 'server.key', parts.privateKey);
}

function write(folder: string, name: string, text: string): void {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  writeFileSync(path, text, { mode: 0o600 });
}
