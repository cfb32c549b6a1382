/** The user organisation under 10,000 requests nobody should send; the quick form is in user-org.test.ts. */
import { expect, it } from 'vitest';
import { commonEndpoints, userOrgEndpoints } from '#api/endpoints.ts';
import { rememberingLog } from '#sim/seams.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { CANARY, fuzzEndpoints } from '../fuzz.test-kit.ts';
import { EAST, PEOPLE, startNetwork, urlOf } from '../network.test-kit.ts';
import { signerOf } from '../signing.ts';
import { createUserOrg } from './user-org.ts';

it('answers 10,000 requests nobody should send with codes, and logs nothing of them', async () => {
  const network = await startNetwork();
  const log = rememberingLog();
  const org = await createUserOrg({ ...network.deps(PEOPLE, log.log), treeStore: openTreeStore(':memory:'), publishCrl: async () => undefined });
  await org.start();
  const person = await network.holder(network.identity(PEOPLE).ca, { role: 'person' });
  const signers = [person.sign, signerOf(network.deps(PEOPLE), network.identity(PEOPLE).operator), signerOf(network.deps(EAST), network.identity(EAST).system)];
  await fuzzEndpoints({ fetch: org.fetch, url: urlOf(PEOPLE), table: { ...commonEndpoints, ...userOrgEndpoints }, signers, runs: 10_000, seed: 12 });
  expect(log.text()).not.toContain(CANARY);
  await org.close();
  await network.close();
});
