/** PEM (RFC 7468): base64 in lines of 64 between labels. One form only is written; reading is strict about everything but the final line break. */
import { toBase64url, type Bytes } from '#base/bytes.ts';

/** PEM text of DER bytes, ending in a line break. */
export function toPem(label: string, der: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${toBase64(der).replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`;
}

/** DER bytes of the one PEM block with this label; undefined when the text is anything else. */
export function fromPem(label: string, text: string): Bytes | undefined {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const trimmed = text.trim();
  if (!trimmed.startsWith(begin) || !trimmed.endsWith(end) || trimmed.length < begin.length + end.length) return undefined;
  return fromBase64(trimmed.slice(begin.length, -end.length).replace(/[\r\n]/g, ''));
}

/** Base64 with padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  const text = toBase64url(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/** Bytes of padded base64; undefined unless it is the one base64 form of them. */
export function fromBase64(text: string): Bytes | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const binary = typeof Buffer === 'undefined' ? Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) : new Uint8Array(Buffer.from(text, 'base64'));
  return toBase64(binary) === text ? binary : undefined;
}
