/** A user organisation on a folder: its stores are SQLite files there. */
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openTreeStore } from '#store/tree-store.ts';
import type { OrgDeps } from '../types.ts';
import { createUserOrg, type UserOrg, type UserOrgConfig } from './user-org.ts';

export interface OpenUserOrgDeps extends Omit<OrgDeps, 'store'> {
  readonly folder: string;
  readonly publishCrl: (pem: string) => Promise<void>;
  readonly config?: UserOrgConfig;
}

/** Closing the organisation closes its stores. @throws CodedError STORE_* when a file cannot be used. */
export async function openUserOrg(deps: OpenUserOrgDeps): Promise<UserOrg> {
  const store = openSqliteKeyValueStore(`${deps.folder}/state.sqlite`);
  const treeStore = openTreeStore(`${deps.folder}/tree.sqlite`);
  const org = await createUserOrg({ ...deps, store, treeStore });
  return {
    ...org,
    async close() {
      await org.close();
      treeStore.close();
      await store.close();
    },
  };
}
