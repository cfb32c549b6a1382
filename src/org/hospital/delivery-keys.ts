/**
 * Delivery keys: one random key per delivery, sealed to the keeper's vault and to the owner (docs/protocol.md section 2).
 * Opened keys are remembered in bounded memory, because opening costs a hundred times what using one costs.
 */
import type { Bytes } from '#base/bytes.ts';
import type { Random } from '#base/ports.ts';
import { openFrom, sealTo, type HpkeKeyPair } from '#crypto/hpke.ts';
import type { DeliveryId, OrgId } from '#model/ids.ts';
import { deliveryBinding } from '#model/bindings.ts';

const REMEMBERED_MAX = 10_000;

export interface DeliveryKeys {
  /** A new key and its seal to the vault. */
  create(delivery: DeliveryId): Promise<{ readonly key: Bytes; readonly keyForVault: Bytes }>;
  /** Throws ENVELOPE_REFUSED when the sealed key is not this keeper's. */
  open(delivery: { readonly id: string; readonly keyForVault: Bytes }): Promise<Bytes>;
  sealToOwner(delivery: DeliveryId, key: Bytes, ownerPublicKey: Bytes): Promise<Bytes>;
}

export function createDeliveryKeys({ keeper, vault, random }: { readonly keeper: OrgId; readonly vault: HpkeKeyPair; readonly random: Random }): DeliveryKeys {
  const remembered = new Map<string, Bytes>();
  const remember = (delivery: string, key: Bytes): void => {
    remembered.delete(delivery);
    remembered.set(delivery, key);
    if (remembered.size > REMEMBERED_MAX) remembered.delete(remembered.keys().next().value as string);
  };
  return {
    async create(delivery) {
      const key = random.bytes(32);
      const keyForVault = await sealTo({ recipientPublicKey: vault.publicKey, ...deliveryBinding(keeper, delivery), plaintext: key });
      remember(delivery, key);
      return { key, keyForVault };
    },
    async open({ id, keyForVault }) {
      const known = remembered.get(id);
      const key = known ?? (await openFrom({ privateKey: vault.privateKey, ...deliveryBinding(keeper, id as DeliveryId), envelope: keyForVault }));
      remember(id, key);
      return key;
    },
    sealToOwner: (delivery, key, ownerPublicKey) => sealTo({ recipientPublicKey: ownerPublicKey, ...deliveryBinding(keeper, delivery), plaintext: key }),
  };
}
