/**
 * Receiving a granted package (protocol C7, C8): the gateway streams it, every item is checked as it comes, good ones
 * are kept sealed, and the receipt goes to DRC once every part is decided. What has arrived survives an interruption;
 * receiving again goes on with the rest.
 */
import { fromBase64url, fromUtf8, toBase64url } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock, Log } from '#base/ports.ts';
import type { ItemVerdict, LeafProof, ShortPart } from '#api/endpoints.ts';
import { anchorKey } from '#contracts/keys.ts';
import { sha256 } from '#crypto/digest.ts';
import { openFrom } from '#crypto/hpke.ts';
import type { SlotState } from '#model/drc.ts';
import { milliseconds, type Digest, type GrantId, type OrgId, type RecordId, type SlotTag } from '#model/ids.ts';
import { Answer, type ReleasedItem } from '#model/messages.ts';
import type { Purpose } from '#model/template.ts';
import { answerBinding } from '#model/bindings.ts';
import type { DrcCalls } from './drc-calls.ts';
import type { KeeperCalls } from './keeper-calls.ts';
import { collectPackage, listedItems, type PackageFrame, type PackagePart } from './package.ts';
import { putReceipt, receiptOf } from './receipts.ts';
import { packageDigest, type KeptItem, type Package, type Packages, type Part } from './packages.ts';
import type { KeptInvitation, Requests } from './requests.ts';
import type { Retry } from './retry.ts';
import type { OwnSlots } from './slots.ts';
import { checkManifest, itemCode, verifyItem, type CheckedManifest, type Trust } from './verify.ts';

export interface Received {
  readonly items: readonly ItemVerdict[];
  readonly short: readonly ShortPart[];
  readonly packageDigest: Digest;
}

export interface ReceiveDeps {
  readonly org: OrgId;
  readonly drc: DrcCalls;
  readonly slots: OwnSlots;
  readonly requests: Requests;
  readonly packages: Packages;
  readonly keepers: KeeperCalls;
  readonly retry: Retry;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly log: Log;
}

/** Throws SLOT_UNANSWERED, GRANT_REVOKED, GRANT_EXPIRED; PACKAGE_INCOMPLETE when a keeper's part has not come yet. */
export async function receivePackage(slot: SlotTag, deps: ReceiveDeps, signal?: AbortSignal): Promise<Received> {
  const state = await deps.drc.slot(slot);
  await deps.slots.learn(slot, state);
  const kept = await deps.packages.get(slot);
  if (kept?.step === 'received') return summary(slot, kept, deps);
  const granted = liveAnswer(slot, state, deps.clock);
  // After `until` no keeper releases any more: what has come is the package, and it is paid for.
  if (milliseconds(granted.until) <= deps.clock.now()) {
    if (kept === undefined) throw new CodedError('GRANT_EXPIRED', 'The grant has expired.', { slot });
    return conclude(slot, kept.step === 'open' ? await decide(slot, kept, deps) : kept, deps);
  }
  const invitation = await deps.requests.kept(slot);
  if (invitation === undefined) throw new CodedError('ITEM_ERASED', 'The keys of this request were destroyed.', { slot });
  const answer = await openAnswer(slot, granted, invitation);
  const opened = kept ?? (await deps.packages.open(slot, answer.parts.map(({ keeper, grant, items }) => ({ keeper, grant, granted: items }))));
  const decided = opened.step === 'open' ? await collect({ slot, granted, invitation, answer, opened, signal }, deps) : opened;
  return conclude(slot, decided, deps);
}

/** The receipt, and what came of it. Also after a restart between the last item and the receipt. */
export async function conclude(slot: SlotTag, decided: Package, deps: ReceiveDeps): Promise<Received> {
  const receipt = receiptOf(slot, decided, await deps.packages.items(slot));
  await putReceipt(receipt, deps.drc);
  await deps.packages.put(slot, { ...decided, step: 'received' });
  await deps.slots.learn(slot, await deps.drc.slot(slot));
  deps.log('info', 'data-user.package-received', { slot, delivered: receipt.delivered, verified: receipt.verified });
  return summary(slot, decided, deps);
}

async function summary(slot: SlotTag, decided: Package, { packages }: ReceiveDeps): Promise<Received> {
  const items = await packages.items(slot);
  const short = decided.parts.flatMap(({ keeper, granted, listed }) => (listed !== undefined && listed < granted ? [{ keeper, granted, listed }] : []));
  return { items: items.map((item) => item.verdict), short, packageDigest: decided.packageDigest as Digest };
}

type Granted = NonNullable<SlotState['answer']>;

function liveAnswer(slot: SlotTag, state: SlotState, clock: Clock): Granted {
  if (state.phase === 'revoked') throw new CodedError('GRANT_REVOKED', 'The owner has revoked the grant.', { slot });
  if (state.phase !== 'answered' || state.answer === undefined) throw new CodedError('SLOT_UNANSWERED', 'There is no granted answer in this slot.', { slot });
  // After `eraseAt` nothing may be held.
  if (milliseconds(state.answer.eraseAt) <= clock.now()) throw new CodedError('GRANT_EXPIRED', 'The grant has expired.', { slot });
  return state.answer;
}

/** The owner's answer as only this request's one-time key opens it. Throws ANSWER_UNREADABLE. */
export async function openAnswer(slot: SlotTag, granted: Granted, invitation: KeptInvitation): Promise<Answer> {
  try {
    const opened = await openFrom({ privateKey: fromBase64url(invitation.privateKey), ...answerBinding(slot), envelope: fromBase64url(granted.sealed) });
    const answer = Answer.parse(JSON.parse(fromUtf8(opened)));
    const ownKey = toBase64url(sha256(fromBase64url(invitation.publicKey))) === granted.recipientKeyDigest;
    const grants = new Set(answer.parts.map((part) => part.grant));
    if (ownKey && answer.slot === slot && answer.decision === granted.decision && grants.size === answer.parts.length) return answer;
  } catch {
    // Falls through: whatever is wrong with it, it is the same refusal.
  }
  throw new CodedError('ANSWER_UNREADABLE', 'The answer in this slot cannot be opened or contradicts the ledger.', { slot });
}

interface Collection {
  readonly slot: SlotTag;
  readonly granted: Granted;
  readonly invitation: KeptInvitation;
  readonly answer: Answer;
  readonly opened: Package;
  readonly signal: AbortSignal | undefined;
}

interface OpenPart {
  readonly checked: CheckedManifest;
  readonly listed: ReadonlyMap<RecordId, ReleasedItem>;
  readonly proofs: ReadonlyMap<string, LeafProof>;
}

/** Takes the stream apart, frame by frame; the package is decided when no part is left that may still come. */
async function collect(collection: Collection, deps: ReceiveDeps): Promise<Package> {
  const { slot, invitation, signal } = collection;
  const purpose = (await deps.drc.template(invitation.template)).template.purpose;
  const before = new Set((await deps.packages.items(slot)).map(({ grant, verdict }) => `${grant} ${verdict.record}`));
  const open = new Map<GrantId, OpenPart>();
  const missing: Missing[] = [];
  let current = collection.opened;

  const wanted = ({ grant }: PackagePart, record: RecordId): boolean => open.has(grant) && !before.has(`${grant} ${record}`);
  for await (const frame of collectPackage({ parts: collection.answer.parts, wanted, ...(signal && { signal }) }, deps)) {
    const { keeper, grant } = frame.part;
    if (frame.kind === 'manifest') {
      const outcome = await takeManifest(frame, { collection, purpose }, deps);
      if ('refused' in outcome) await nameAll(slot, frame, outcome.refused, deps);
      else open.set(grant, outcome);
      current = withPart(current, grant, 'refused' in outcome ? outcome : { manifestDigest: outcome.checked.digest, listed: outcome.listed.size });
      await deps.packages.put(slot, current);
    } else if (frame.kind === 'part-missing' || (frame.kind === 'item-missing' && (frame.retry || OVER.has(frame.code)))) {
      if (OVER.has(frame.code)) throw new CodedError(frame.code, `${keeper} no longer releases this grant.`, { slot, keeper });
      missing.push({ keeper, code: frame.code });
    } else {
      await takeItem(frame, { slot, part: open.get(grant) as OpenPart, privateKey: fromBase64url(invitation.privateKey) }, deps);
    }
  }
  if (missing.length > 0) throw incomplete(slot, missing, await deps.packages.items(slot));
  return decide(slot, current, deps);
}

/** What a keeper says when a grant is no longer live. */
const OVER: ReadonlySet<string> = new Set(['GRANT_REVOKED', 'GRANT_EXPIRED']);

async function decide(slot: SlotTag, current: Package, { packages }: ReceiveDeps): Promise<Package> {
  const decided = { ...current, step: 'verified' as const, packageDigest: packageDigest(slot, current.parts, await packages.items(slot)) };
  await packages.put(slot, decided);
  return decided;
}

/** Names every item of a refused manifest; none of them is fetched. */
async function nameAll(slot: SlotTag, { part, manifest }: Extract<PackageFrame, { kind: 'manifest' }>, code: string, { packages }: ReceiveDeps): Promise<void> {
  for (const item of listedItems(manifest) ?? []) {
    await packages.addItem(slot, { grant: part.grant, verdict: { record: item.id, keeper: part.keeper, resourceType: item.resourceType, good: false, code } });
  }
}

function withPart(current: Package, grant: GrantId, found: Partial<Part>): Package {
  return { ...current, parts: current.parts.map((part) => (part.grant === grant ? { ...part, ...found } : part)) };
}

async function takeManifest(frame: Extract<PackageFrame, { kind: 'manifest' }>, { collection, purpose }: { readonly collection: Collection; readonly purpose: Purpose }, deps: ReceiveDeps): Promise<OpenPart | { readonly refused: string }> {
  const { keeper, grant } = frame.part;
  const granted = collection.opened.parts.find((part) => part.grant === grant)?.granted ?? 0;
  const { recipientKeyDigest } = collection.granted;
  try {
    const checked = await checkManifest(frame.manifest, { keeper, grant, slot: collection.slot, recipient: deps.org, recipientKeyDigest, purpose, eraseAt: collection.granted.eraseAt, items: granted }, deps.trust);
    return { checked, listed: new Map(checked.manifest.items.map((item) => [item.id, item])), proofs: new Map(frame.proofs.map((proof) => [proof.key, proof])) };
  } catch (error) {
    if (!isCoded(error) || !error.code.startsWith('MANIFEST_')) throw error;
    deps.log('warn', 'manifest-refused', { slot: collection.slot, keeper, code: error.code });
    return { refused: error.code };
  }
}

async function takeItem(
  frame: Extract<PackageFrame, { kind: 'item' | 'item-missing' }>,
  { slot, part, privateKey }: { readonly slot: SlotTag; readonly part: OpenPart; readonly privateKey: Uint8Array },
  deps: ReceiveDeps,
): Promise<void> {
  const { record } = frame;
  const { keeper, grant } = frame.part;
  const item = part.listed.get(record);
  const verdict = { record, keeper, resourceType: item?.resourceType ?? 'unknown' };
  const bad = (code: string): KeptItem => ({ grant, verdict: { ...verdict, good: false, code }, ...(frame.kind === 'item' && { bodyDigest: toBase64url(sha256(frame.ciphertext)) as Digest }) });
  // Exactly the granted items: one that the manifest does not list is named, not opened.
  if (item === undefined) return deps.packages.addItem(slot, bad('ITEM_EXTRA'));
  if (frame.kind === 'item-missing') return deps.packages.addItem(slot, bad(frame.code.startsWith('ITEM_') ? frame.code : 'ITEM_MISSING'));
  try {
    const bytes = await verifyItem({ checked: part.checked, item, ciphertext: frame.ciphertext, proof: part.proofs.get(anchorKey(record)), privateKey }, deps.trust);
    await deps.packages.addItem(slot, { grant, verdict: { ...verdict, good: true }, bodyDigest: toBase64url(sha256(frame.ciphertext)) as Digest }, bytes);
  } catch (error) {
    await deps.packages.addItem(slot, bad(itemCode(error)));
  }
}

interface Missing {
  readonly keeper: OrgId;
  readonly code: string;
}

function incomplete(slot: SlotTag, missing: readonly Missing[], items: readonly KeptItem[]): CodedError {
  const keepers = [...new Map(missing.map((one) => [one.keeper, one])).values()];
  return new CodedError('PACKAGE_INCOMPLETE', `Parts of the package have not come yet: ${keepers.map(({ keeper, code }) => `${keeper} (${code})`).join(', ')}.`, { slot, keepers, received: items.length });
}
