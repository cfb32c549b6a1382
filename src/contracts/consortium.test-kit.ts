/** A founded consortium with a published template, and slots in every phase: what the data request tests start from. */
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { utf8, toBase64url } from '#base/bytes.ts';
import { sha256 } from '#crypto/digest.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { Member } from '#model/con.ts';
import type { SlotPhase } from '#model/drc.ts';
import type { Digest, OrgId, SlotTag, TemplateId } from '#model/ids.ts';
import { ANSWER_BYTES, INVITATION_BYTES, SLOT_BYTES } from '#model/messages.ts';
import { NO_DIGEST } from '#model/rules/drc.ts';
import type { RequestTemplate, TemplateRef } from '#model/template.ts';
import { conClient, drcClient } from './client.ts';
import type { Input } from './catalogue.ts';
import { day, digestOf, LAB, ORGS, sealedOf, slotOf, type Network } from './network.test-kit.ts';

export const digestOfJson = (value: unknown): Digest => toBase64url(sha256(utf8(canonicalJson(value as Json)))) as Digest;

export function memberOf(network: Network, org: OrgId): Member {
  return { org, name: `Member ${org}`, rootCertificate: network.rootOf(org), url: `https://${org.toLowerCase()}.example/`, hpkePublicKey: 'k'.repeat(40) };
}

export interface Consortium {
  readonly network: Network;
  /** The system of each organisation. */
  readonly system: ReadonlyMap<OrgId, LedgerSigner>;
  systemOf(org: OrgId): LedgerSigner;
}

/** Founds the consortium with every organisation of the network. */
export async function foundConsortium(network: Network): Promise<Consortium> {
  const system = new Map<OrgId, LedgerSigner>();
  for (const org of ORGS) system.set(org, await network.signer(org, 'system', `system.${org}`));
  const systemOf = (org: OrgId): LedgerSigner => system.get(org) as LedgerSigner;
  await conClient(network.ledger, systemOf(ORGS[0] as OrgId)).submit('found', { members: ORGS.map((org) => memberOf(network, org)) });
  return { network, system, systemOf };
}

export function templateOf(id: string, change: Partial<RequestTemplate> = {}): RequestTemplate {
  return {
    id: id as TemplateId, version: 1, requester: LAB, title: 'Blood sugar over time', purpose: 'research', why: 'To learn how treatment works.', ifRefused: 'Nothing changes for you.',
    legalBasis: 'Consent', approval: { issuer: 'Ethics board', documentDigest: digestOf('approval'), until: day(100) },
    select: [{ resourceType: 'Observation', codes: ['http://loinc.org|4548-4'] }], retentionDays: 30,
    price: { currency: 'EUR', perItem: '7', perAnswer: '100', split: { owner: 6_000, keepers: 3_000, operator: 1_000 } },
    ...change,
  };
}

export const refOf = (template: RequestTemplate): TemplateRef => ({ id: template.id, version: template.version, digest: digestOfJson(template) });

/** Votes a template in and publishes it in its requester's name. */
export async function publish({ network, systemOf }: Consortium, template: RequestTemplate): Promise<TemplateRef> {
  const { ledger } = network;
  const ref = refOf(template);
  const id = `template-${template.id}-${template.version}`;
  await conClient(ledger, systemOf(template.requester)).submit('propose', { id, kind: 'template', digest: ref.digest, title: template.title, deadline: day(300) });
  for (const org of ORGS.slice(0, 3)) await conClient(ledger, systemOf(org)).submit('vote', { id, choice: 'yes' });
  await drcClient(ledger, systemOf(template.requester)).submit('publishTemplate', { template });
  return ref;
}

export const slotInput = (name: string, templates: readonly TemplateRef[], change: Partial<Input<'drc', 'openSlot'>> = {}): Input<'drc', 'openSlot'> =>
  ({ slot: slotOf(name), duo: LAB, templates, notBefore: day(0), until: day(30), sealed: sealedOf(SLOT_BYTES), ...change });
export const inviteInput = (slot: SlotTag, template: TemplateRef, change: Partial<Input<'drc', 'invite'>> = {}): Input<'drc', 'invite'> =>
  ({ slot, template, sealed: sealedOf(INVITATION_BYTES), answerBy: day(10), ...change });
export const answerInput = (slot: SlotTag, change: Partial<Input<'drc', 'respond'>> = {}): Input<'drc', 'respond'> =>
  ({ slot, decision: 'all', grantCommitment: digestOf('grant'), recipientKeyDigest: digestOf('key'), until: day(20), eraseAt: day(40), sealed: sealedOf(ANSWER_BYTES), ...change });
export const noInput = (slot: SlotTag): Input<'drc', 'respond'> => answerInput(slot, { decision: 'no', grantCommitment: NO_DIGEST, recipientKeyDigest: NO_DIGEST });

export interface OpenedSlot {
  readonly slot: SlotTag;
  readonly holder: LedgerSigner;
}

/** Brings a new slot into a phase, by the transactions that lead there. */
export async function slotIn(consortium: Consortium, { phase, name, template }: { readonly phase: SlotPhase; readonly name: string; readonly template: TemplateRef }): Promise<OpenedSlot> {
  const { network, systemOf } = consortium;
  const holder = await network.signer(ORGS[0] as OrgId, 'person');
  const person = drcClient(network.ledger, holder);
  const lab = drcClient(network.ledger, systemOf(LAB));
  const slot = slotOf(name);
  await person.submit('openSlot', slotInput(name, [template]));
  if (phase === 'withdrawn') await person.submit('withdrawSlot', { slot });
  if (phase === 'open' || phase === 'withdrawn') return { slot, holder };
  await lab.submit('invite', inviteInput(slot, template));
  if (phase === 'invited') return { slot, holder };
  await person.submit('respond', phase === 'refused' ? noInput(slot) : answerInput(slot));
  if (phase === 'revoked') await person.submit('revokeGrant', { slot });
  return { slot, holder };
}
