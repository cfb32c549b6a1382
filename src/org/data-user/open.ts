/** A data user on a folder of its own: its stores are files there and are closed with it. */
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { createDataUser, type DataUser, type DataUserDeps } from './data-user.ts';

export interface OpenDataUserOptions extends Omit<DataUserDeps, 'store' | 'treeStore'> {
  readonly folder: string;
}

/** Closing the organisation closes its stores. Throws STORE_* when a file cannot be used. */
export async function openDataUser({ folder, ...deps }: OpenDataUserOptions): Promise<DataUser> {
  const store = openSqliteKeyValueStore(`${folder}/state.sqlite`);
  const treeStore = openTreeStore(`${folder}/tree.sqlite`);
  const dataUser = await createDataUser({ ...deps, store, treeStore });
  return {
    ...dataUser,
    async close() {
      await dataUser.close();
      treeStore.close();
      await store.close();
    },
  };
}
