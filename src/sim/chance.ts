/** Choices drawn from a source of bytes: the same bytes give the same choices. */
import { toHex } from '#base/bytes.ts';
import type { Random } from '#base/ports.ts';

export interface Chance {
  /** A whole number from 0 to below the limit (limit at most 2^32). */
  below(limit: number): number;
  pick<Item>(list: readonly Item[]): Item;
  /** A random UUID (RFC 9562 version 4). */
  uuid(): string;
  hex(bytes: number): string;
  /** A decimal near the centre, never below zero, written with so many digits. */
  around(centre: number, spread: number, digits: number): string;
}

export function createChance(random: Random): Chance {
  const below = (limit: number): number => {
    const [a, b, c, d] = random.bytes(4) as unknown as [number, number, number, number];
    return Math.floor(((((a * 256 + b) * 256 + c) * 256 + d) / 2 ** 32) * limit);
  };
  return {
    below,
    pick: (list) => list[below(list.length)] as (typeof list)[number],
    uuid: () => {
      const hex = toHex(random.bytes(16));
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${'89ab'[Number.parseInt(hex[16] as string, 16) % 4]}${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
    hex: (bytes) => toHex(random.bytes(bytes)),
    around: (centre, spread, digits) => Math.max(0, centre + spread * (below(2001) / 1000 - 1)).toFixed(digits),
  };
}
