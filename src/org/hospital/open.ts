/** A hospital on a folder of its own: opens the stores, builds it, closes everything together. */
import { openBlobStore } from '#store/blob-store.ts';
import { openSqliteRecordStore } from '#store/record-store.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openTreeStore } from '#store/tree-store.ts';
import type { OrgDeps } from '../types.ts';
import { createHospital, type Hospital, type HospitalConfig } from './hospital.ts';

export interface OpenHospitalDeps extends Omit<OrgDeps, 'store'> {
  /** Exists already. */
  readonly folder: string;
  readonly config?: HospitalConfig;
}

/** Throws STORE_CORRUPT naming the file, STORE_LOCKED, STORE_NEWER, STORE_IO. */
export async function openHospital(deps: OpenHospitalDeps): Promise<Hospital> {
  const opened: { close(): unknown }[] = [];
  const keep = <T extends { close(): unknown }>(one: T): T => {
    opened.unshift(one);
    return one;
  };
  const closeStores = async (): Promise<void> => {
    for (const one of opened) await one.close();
  };
  try {
    const store = keep(openSqliteKeyValueStore(`${deps.folder}/state.sqlite`));
    const recordStore = keep(openSqliteRecordStore(`${deps.folder}/records.sqlite`));
    const blobStore = keep(openBlobStore({ folder: `${deps.folder}/bodies` }));
    const treeStore = keep(openTreeStore(`${deps.folder}/tree.sqlite`));
    const hospital = await createHospital({ ...deps, store, recordStore, blobStore, treeStore });
    return {
      ...hospital,
      async close() {
        await hospital.close();
        await closeStores();
      },
    };
  } catch (error) {
    await closeStores();
    throw error;
  }
}
